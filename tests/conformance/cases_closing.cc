// Group 7: the closing handshake, RFC 6455 §5.5.1 and §7. The tester always begins it.
#include "conformance/cases.h"

namespace tern::conformance {

using test::closing;
using test::more;
using test::ping;
using test::text;

namespace {

// The subject answers the Close frame with the same code, and TCP ends properly.
Script clean(std::vector<Frame> frames, std::vector<int> codes = {1000}) {
  return {.steps = {send(std::move(frames))},
          .ending = {.codes = std::move(codes), .code_fatal = true}};
}

// The Close frame itself is wrong. The subject may answer with the code of that fault, with an
// empty Close or not at all.
Script refused(Frame close, std::vector<int> codes) {
  return {.steps = {send({std::move(close)})},
          .ending = {.clean = false, .codes = std::move(codes), .code_fatal = true}};
}

void add_behind_a_close(std::vector<Case>& cases) {
  cases.push_back({"7.1.1", [] {
                     Script script = echo(text("twelve chars"));
                     script.ending.code_fatal = true;
                     return script;
                   }});
  cases.push_back({"7.1.2", [] { return clean({closing(1000), closing()}); }});
  cases.push_back({"7.1.3", [] { return clean({closing(1000), ping("late")}); }});
  cases.push_back({"7.1.4", [] { return clean({closing(1000), text("late")}); }});
  cases.push_back({"7.1.5", [] {
                     return clean({text("fragment1", false), closing(1000), more("fragment2")});
                   }});
  cases.push_back({"7.1.6",
                   [] {
                     return clean({text(std::string(256 << 10, '*')), text("twelve chars"),
                                   closing(1000), ping("late")});
                   },
                   true});
}

void add_payloads(std::vector<Case>& cases) {
  Frame one_byte = closing();
  one_byte.payload = "a";
  const std::string twelve = "twelve chars";
  cases.push_back({"7.3.1", [] { return clean({closing()}); }});
  cases.push_back({"7.3.2", [=] { return refused(one_byte, {1002}); }});
  cases.push_back({"7.3.3", [] { return clean({closing(1000)}); }});
  cases.push_back({"7.3.4", [=] { return clean({closing(1000, twelve)}); }});
  cases.push_back({"7.3.5", [] { return clean({closing(1000, std::string(123, '*'))}); }});
  cases.push_back({"7.3.6", [] { return refused(closing(1000, std::string(124, '*')), {1002}); }});
  cases.push_back({"7.5.1", [] {
                     const std::string reason = kosme + "\xED\xA0\x80" + "edited";
                     return refused(closing(1000, reason), {1002, 1007});
                   }});
}

void add_codes(std::vector<Case>& cases) {
  int number = 0;
  for (const int code :
       {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999}) {
    cases.push_back({"7.7." + std::to_string(++number), [=] {
                       return clean({closing(code)}, {1000, code});
                     }});
  }
  number = 0;
  for (const int code : {0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999}) {
    cases.push_back(
        {"7.9." + std::to_string(++number), [=] { return refused(closing(code), {1002}); }});
  }
  number = 0;
  for (const int code : {5000, 65535}) {
    cases.push_back(
        {"7.13." + std::to_string(++number), [=] { return refused(closing(code), {1002}); }, true});
  }
}

}  // namespace

void add_closing_cases(std::vector<Case>& cases) {
  add_behind_a_close(cases);
  add_payloads(cases);
  add_codes(cases);
}

}  // namespace tern::conformance
