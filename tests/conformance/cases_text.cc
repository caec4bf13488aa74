// Group 6: text is UTF-8 (RFC 6455 §5.6, §8.1), and other text fails as early as possible.
#include "conformance/cases.h"

#include <string_view>

namespace tern::conformance {

using test::more;
using test::text;

namespace {

const std::string surrogate = "\xED\xA0\x80";
const std::string beyond_unicode = "\xF4\x90\x80\x80";
const std::string behind = "edited";

Script echo_of(std::vector<Frame> frames, std::string_view joined) {
  return {.steps = {send(std::move(frames))}, .expected = {to_string(text(std::string(joined)))}};
}

Script not_utf8(std::vector<Frame> frames) {
  Script script = failure(std::move(frames), 1007);
  script.ending.side_fatal = true;
  return script;
}

void add_whole_and_cut(std::vector<Case>& cases) {
  const std::string mixed = "Gr\u00FC\u00DF Gott se\u00F1or \u00C5ngstr\u00F6m";
  cases.push_back({"6.1.1", [] { return echo(text("")); }});
  cases.push_back({"6.1.2", [] {
                     return echo_of({text("", false), more("", false), more("")}, "");
                   }});
  cases.push_back({"6.1.3", [] {
                     const std::string middle = "twenty bytes, or so";
                     return echo_of({text("", false), more(middle, false), more("")}, middle);
                   }});
  cases.push_back({"6.2.1", [=] { return echo(text(mixed)); }});
  cases.push_back(
      {"6.2.2", [=] {
         return echo_of({text(mixed.substr(0, 6), false), more(mixed.substr(6))}, mixed);
       }});
  cases.push_back({"6.2.3", [=] { return echo_of(fragments(text(mixed), 1), mixed); }});
  cases.push_back({"6.2.4", [] { return echo_of(fragments(text(kosme), 1), kosme); }});
  const std::string bad = kosme + surrogate + behind;
  cases.push_back({"6.3.1", [=] { return not_utf8({text(bad)}); }});
  cases.push_back({"6.3.2", [=] { return not_utf8(fragments(text(bad), 1)); }});
}

// Three pieces. After the second one the text can no longer be UTF-8, and the subject must fail
// before it has the third one. The pieces are fragments, or parts of one frame.
void add_fail_fast(std::vector<Case>& cases) {
  const auto script = [](std::vector<Step> steps) {
    Script result{.steps = std::move(steps),
                  .expected = {"open"},
                  .non_strict = Events{"open", "open"},
                  .ending = fails_with(1007)};
    result.ending.side_fatal = true;
    return result;
  };
  struct Cut {
    std::size_t first;
    std::size_t second;
  };
  const std::string all = kosme + beyond_unicode + behind;
  int number = 1;
  for (const bool one_frame : {false, true}) {
    for (const Cut cut : {Cut{11, 4}, Cut{12, 1}}) {
      const std::size_t first = cut.first;
      const std::size_t second = cut.second;
      const std::size_t third = all.size() - first - second;
      cases.push_back({"6.4." + std::to_string(number++), [=] {
                         if (one_frame) {
                           return script({send({text(all)}, at_once, second + third), still_open(),
                                          release(second), must_end(), release(third)});
                         }
                         return script({send({text(all.substr(0, first), false)}), still_open(),
                                        send({more(all.substr(first, second), false)}), must_end(),
                                        send({more(all.substr(first + second))})});
                       }});
    }
  }
}

// The UTF-8 form of a code point that needs three or four bytes.
std::string encoded(char32_t point) {
  const auto continuation = [&](int shift) {
    return static_cast<char>(0x80 | (point >> shift & 0x3F));
  };
  if (point < 0x10000) {
    return {static_cast<char>(0xE0 | point >> 12), continuation(6), continuation(0)};
  }
  return {static_cast<char>(0xF0 | point >> 18), continuation(12), continuation(6),
          continuation(0)};
}

// Adds cases that send one whole frame, and numbers them within their subgroup.
class Sequences {
 public:
  explicit Sequences(std::vector<Case>& cases) : cases_(cases) {}

  void subgroup(int number) {
    prefix_ = "6." + std::to_string(number) + '.';
    number_ = 0;
  }
  void valid(std::string payload) {
    cases_.push_back({next_id(), [=] { return echo(text(payload)); }});
  }
  void invalid(std::string payload) {
    cases_.push_back({next_id(), [=] { return not_utf8({text(payload)}); }});
  }
  void all_valid(int number, std::initializer_list<std::string_view> hex) {
    subgroup(number);
    for (const std::string_view payload : hex) valid(bytes(payload));
  }
  void all_invalid(int number, std::initializer_list<std::string_view> hex) {
    subgroup(number);
    for (const std::string_view payload : hex) invalid(bytes(payload));
  }

 private:
  std::string next_id() { return prefix_ + std::to_string(++number_); }

  std::vector<Case>& cases_;
  std::string prefix_{};
  int number_ = 0;
};

std::string repeated(std::string_view part, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += part;
  return result;
}

// Each byte of the range, followed by a blank.
std::string leads(unsigned first, unsigned last) {
  std::string result;
  for (unsigned byte = first; byte <= last; ++byte) {
    result += static_cast<char>(byte);
    result += ' ';
  }
  return result;
}

void add_boundaries(Sequences& sequences) {
  sequences.subgroup(5);
  for (const char* x : {"24", "C2 A2", "E2 82 AC", "F0 A4 AD A2"}) {
    sequences.valid("hello" + bytes(x) + "world");
  }
  sequences.valid(kosme);
  sequences.subgroup(6);
  for (std::size_t size = 1; size <= kosme.size(); ++size) {
    const std::string prefix = kosme.substr(0, size);
    const bool whole = size == 2 || size == 5 || size == 7 || size == 9 || size == 11;
    whole ? sequences.valid(prefix) : sequences.invalid(prefix);
  }
  sequences.all_valid(7, {"00", "C2 80", "E0 A0 80", "F0 90 80 80"});
  sequences.all_invalid(8, {"F8 88 80 80 80", "FC 84 80 80 80 80"});
  sequences.all_valid(9, {"7F", "DF BF", "EF BF BF", "F4 8F BF BF"});
  sequences.all_invalid(10, {"F7 BF BF BF", "FB BF BF BF BF", "FD BF BF BF BF BF"});
  sequences.all_valid(11, {"ED 9F BF", "EE 80 80", "EF BF BD", "F4 8F BF BF"});
  sequences.invalid(beyond_unicode);
}

void add_malformed(Sequences& sequences) {
  sequences.all_invalid(12, {"80", "BF", "80 BF", "80 BF 80", "80 BF 80 BF", "80 BF 80 BF 80"});
  sequences.invalid(repeated("\x80\xBF", 3));
  std::string continuations;
  for (unsigned byte = 0x80; byte <= 0xBE; ++byte) continuations += static_cast<char>(byte);
  sequences.invalid(continuations);
  sequences.subgroup(13);
  sequences.invalid(leads(0xC0, 0xDE));
  sequences.invalid(leads(0xE0, 0xEE));
  sequences.invalid(leads(0xF0, 0xF6));
  sequences.invalid(leads(0xF8, 0xFA));
  sequences.invalid(leads(0xFC, 0xFC));
  std::string joined;
  sequences.subgroup(14);
  for (const char* cut : {"C0", "E0 80", "F0 80 80", "F8 80 80 80", "FC 80 80 80 80", "DF", "EF BF",
                          "F7 BF BF", "FB BF BF BF", "FD BF BF BF BF"}) {
    sequences.invalid(bytes(cut));
    joined += bytes(cut);
  }
  sequences.subgroup(15);
  sequences.invalid(joined);
  sequences.all_invalid(16, {"FE", "FF", "FE FE FF FF"});
  sequences.all_invalid(
      17, {"C0 AF", "E0 80 AF", "F0 80 80 AF", "F8 80 80 80 AF", "FC 80 80 80 80 AF"});
  sequences.all_invalid(
      18, {"C1 BF", "E0 9F BF", "F0 8F BF BF", "F8 87 BF BF BF", "FC 83 BF BF BF BF"});
  sequences.all_invalid(
      19, {"C0 80", "E0 80 80", "F0 80 80 80", "F8 80 80 80 80", "FC 80 80 80 80 80"});
}

void add_surrogates_and_non_characters(Sequences& sequences) {
  sequences.all_invalid(
      20, {"ED A0 80", "ED AD BF", "ED AE 80", "ED AF BF", "ED B0 80", "ED BE 80", "ED BF BF"});
  sequences.subgroup(21);
  for (const char* high : {"ED A0 80", "ED AD BF", "ED AE 80", "ED AF BF"}) {
    for (const char* low : {"ED B0 80", "ED BF BF"}) {
      sequences.invalid(bytes(high) + bytes(low));
    }
  }
  sequences.subgroup(22);
  for (char32_t plane = 0; plane <= 16; ++plane) {
    sequences.valid(encoded(plane << 16 | 0xFFFE));
    sequences.valid(encoded(plane << 16 | 0xFFFF));
  }
  sequences.subgroup(23);
  for (char32_t point = 0xFFF9; point <= 0xFFFF; ++point) sequences.valid(encoded(point));
}

}  // namespace

void add_text_cases(std::vector<Case>& cases) {
  add_whole_and_cut(cases);
  add_fail_fast(cases);
  Sequences sequences(cases);
  add_boundaries(sequences);
  add_malformed(sequences);
  add_surrogates_and_non_characters(sequences);
}

}  // namespace tern::conformance
