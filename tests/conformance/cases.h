// The cases, in the order of their numbers. The numbers are those of Autobahn, so that results can
// be compared. The bytes that they send are our own.
#pragma once

#include "conformance/script.h"

#include <string>
#include <string_view>
#include <vector>

namespace tern::conformance {

void add_framing_cases(std::vector<Case>& cases);   ///< groups 1 to 5
void add_text_cases(std::vector<Case>& cases);      ///< group 6
void add_closing_cases(std::vector<Case>& cases);   ///< group 7
void add_bulk_cases(std::vector<Case>& cases);      ///< group 9
void add_fragment_cases(std::vector<Case>& cases);  ///< group 10

void add_deflate_cases(std::vector<Case>& cases);  ///< groups 12 and 13

/// The payload of a case of groups 12 and 13, if that is less than 1000 messages; at least 4 are
/// sent.
std::size_t& deflate_bytes();
/// The size of a compressed message's fragments in this case; 0: it is not fragmented.
std::size_t deflate_fragment_of(std::string_view id);
/// The size of each message in this case.
std::size_t deflate_size_of(std::string_view id);

/// All cases.
std::vector<Case> all_cases();

/// The group of a case: "6" for "6.23.1".
inline std::string group_of(std::string_view id) { return std::string(id.substr(0, id.find('.'))); }

// ---- parts of scripts

/// The bytes of "CE BA".
std::string bytes(std::string_view hex);

/// The text of many cases: five Greek letters in 11 bytes.
inline const std::string kosme = "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5";

/// A message in fragments of `size` bytes. If these fit exactly, an empty one with FIN follows.
std::vector<Frame> fragments(const Frame& message, std::size_t size);

/// The subject echoes, then the tester closes.
Script echo(const Frame& message, Writing writing = at_once);

/// The subject fails the connection with `code` and answers nothing.
Script failure(std::vector<Frame> frames, int code, Writing writing = at_once);

}  // namespace tern::conformance
