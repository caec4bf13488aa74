#pragma once

#include <string>
#include <string_view>

// The names of topics as subjects of NATS.
//
// A subject is a list of tokens with dots between them. A token may not be empty, and may not
// contain blanks, '*' or '>'. So a byte of a topic that would break these rules is written as %XX,
// as in a URL. Two topics never have the same subject.

namespace tern::nats {

/// Returns why no subject can begin with this prefix; empty if there is no reason. A prefix is
/// empty, or tokens with a dot behind each, e.g. "tern.".
std::string prefix_problem(std::string_view prefix);

/// Returns the subject of a topic. These bytes become %XX: '%', ' ', '*', '>', control characters;
/// a dot beside which a token would be empty; and without a prefix the first byte of a topic that
/// begins with '$' or "_INBOX.", because such subjects belong to the server and to requests. Throws
/// std::bad_alloc.
std::string subject_of(std::string_view prefix, std::string_view topic);

}  // namespace tern::nats
