// Groups 1 to 5: whole messages, pings and pongs, reserved bits, reserved opcodes, fragments.
#include "conformance/cases.h"

#include <array>

namespace tern::conformance {

using test::binary;
using test::more;
using test::ping;
using test::pong;
using test::text;

namespace {

const std::string hello = "Hello, world!";

// Group 1: RFC 6455 §5.6, and each form of the length (§5.2).
void add_messages(std::vector<Case>& cases) {
  struct Row {
    std::size_t size;
    Writing writing = at_once;
  };
  const std::array<Row, 8> rows = {
      {{0}, {125}, {126}, {127}, {128}, {65535}, {65536}, {65536, chops_of(997)}}};
  for (const bool is_text : {true, false}) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t size = rows[i].size;
      const Writing writing = rows[i].writing;
      cases.push_back({(is_text ? "1.1." : "1.2.") + std::to_string(i + 1), [=] {
                         const Frame message = is_text ? text(std::string(size, '*'))
                                                       : binary(std::string(size, '\xFE'));
                         return echo(message, writing);
                       }});
    }
  }
}

// Group 2: RFC 6455 §5.5.2 and §5.5.3.
void add_pings(std::vector<Case>& cases) {
  const auto answered = [&](const char* id, std::string payload, Writing writing = at_once) {
    cases.push_back({id, [=] {
                       return Script{.steps = {send({ping(payload)}, writing)},
                                     .expected = {to_string(pong(payload))}};
                     }});
  };
  const auto ignored = [&](const char* id, std::string payload) {
    cases.push_back({id, [=] {
                       return Script{.steps = {send({pong(payload), test::closing(1000)})}};
                     }});
  };
  const auto ten = [&](const char* id, Writing writing) {
    cases.push_back({id, [=] {
                       Script script;
                       std::vector<Frame> frames;
                       for (int i = 0; i < 10; ++i) {
                         frames.push_back(ping("payload-" + std::to_string(i)));
                         script.expected.push_back(to_string(pong(frames.back().payload)));
                       }
                       script.steps = {send(std::move(frames), writing)};
                       return script;
                     }});
  };
  answered("2.1", "");
  answered("2.2", hello);
  answered("2.3", bytes("00 FF FE FD FC FB 00 FF"));
  answered("2.4", std::string(125, '\xFE'));
  cases.push_back({"2.5", [] { return failure({ping(std::string(126, '\xFE'))}, 1002); }});
  answered("2.6", std::string(125, '\xFE'), byte_wise);
  ignored("2.7", "");
  ignored("2.8", "no ping has asked for this");
  cases.push_back({"2.9", [] {
                     return Script{.steps = {send({pong("not asked for"), ping("asked")})},
                                   .expected = {"pong asked"}};
                   }});
  ten("2.10", at_once);
  ten("2.11", byte_wise);
}

// A valid text, then the fault, then a ping that must not be answered. The non-strict verdict also
// accepts a subject that fails the connection before it has sent the echo.
Script wrong_behind_text(Frame wrong, Writing writing) {
  Script script = failure({text(hello), std::move(wrong), ping()}, 1002, writing);
  script.expected = {to_string(text(hello))};
  script.non_strict = Events{};
  return script;
}

Frame with_rsv(Frame frame, unsigned rsv) {
  frame.rsv = rsv;
  return frame;
}

// Group 3: RFC 6455 §5.2, reserved bits without an extension.
void add_reserved_bits(std::vector<Case>& cases) {
  cases.push_back({"3.1", [] { return failure({with_rsv(text(hello), 1)}, 1002); }});
  cases.push_back({"3.2", [] { return wrong_behind_text(with_rsv(text(hello), 2), at_once); }});
  cases.push_back({"3.3", [] { return wrong_behind_text(with_rsv(text(hello), 3), frame_wise); }});
  cases.push_back({"3.4", [] { return wrong_behind_text(with_rsv(text(hello), 4), byte_wise); }});
  cases.push_back({"3.5", [] { return failure({with_rsv(binary("8 bytes"), 5)}, 1002); }});
  cases.push_back({"3.6", [] { return failure({with_rsv(binary(hello), 6)}, 1002); }});
  cases.push_back({"3.7", [] { return failure({with_rsv(test::closing(), 7)}, 1002); }});
}

// Group 4: RFC 6455 §5.2, reserved opcodes without an extension.
void add_reserved_opcodes(std::vector<Case>& cases) {
  const std::array<Writing, 3> writings = {at_once, at_once, byte_wise};
  for (const unsigned first : {3u, 11u}) {
    const std::string group = first == 3 ? "4.1." : "4.2.";
    cases.push_back({group + "1", [=] { return failure({{first}}, 1002); }});
    cases.push_back({group + "2", [=] {
                       return failure({{first + 1, std::string(23, 'r')}}, 1002);
                     }});
    for (unsigned i = 0; i < 3; ++i) {
      const Writing writing = writings[i];
      cases.push_back({group + std::to_string(i + 3), [=] {
                         const Frame wrong{first + 2 + i, i == 0 ? std::string() : hello};
                         return wrong_behind_text(wrong, writing);
                       }});
    }
  }
}

const std::string part_1 = "fragment1";
const std::string part_2 = "fragment2";

// Two parts of a message. Autobahn sends them 1 s apart, but only the order matters: the answer to
// the first ping proves that the first part was read.
Script slow_fragments(Writing writing) {
  return {
      .steps = {send({text(part_1, false), more(part_2, false), ping("ping 1")}, writing), await(1),
                send({more("fragment3", false), more("fragment4", false), ping("ping 2"),
                      more("fragment5")},
                     writing)},
      .expected = {"pong ping 1", "pong ping 2",
                   "text fragment1fragment2fragment3fragment4fragment5"}};
}

// Group 5: RFC 6455 §5.4.
void add_fragments(std::vector<Case>& cases) {
  const std::array<Writing, 3> writings = {at_once, frame_wise, byte_wise};
  const auto three = [&](int first, auto script) {
    for (std::size_t i = 0; i < writings.size(); ++i) {
      const Writing writing = writings[i];
      cases.push_back(
          {"5." + std::to_string(first + static_cast<int>(i)), [=] { return script(writing); }});
    }
  };
  const std::string joined = "text " + part_1 + part_2;
  Frame cut_ping = ping(part_1);
  Frame cut_pong = pong(part_1);
  cut_ping.fin = cut_pong.fin = false;
  cases.push_back({"5.1", [=] { return failure({cut_ping, more(part_2)}, 1002); }});
  cases.push_back({"5.2", [=] { return failure({cut_pong, more(part_2)}, 1002); }});
  three(3, [=](Writing writing) {
    return Script{.steps = {send({text(part_1, false), more(part_2)}, writing)},
                  .expected = {joined}};
  });
  three(6, [=](Writing writing) {
    return Script{.steps = {send({text(part_1, false), ping("between"), more(part_2)}, writing)},
                  .expected = {"pong between", joined}};
  });
  three(9, [](Writing writing) {
    return failure({more("of nothing"), text(hello)}, 1002, writing);
  });
  three(12, [](Writing writing) {
    return failure({more("of nothing", false), text(hello)}, 1002, writing);
  });
  cases.push_back({"5.15", [=] {
                     Script script = failure({text(part_1, false), more(part_2),
                                              more("fragment3", false), text("fragment4")},
                                             1002);
                     script.expected = {joined};
                     script.non_strict = Events{};
                     return script;
                   }});
  for (const bool fin : {false, true}) {
    cases.push_back({fin ? "5.17" : "5.16", [=] {
                       const std::vector<Frame> once = {more(part_1, fin), text(part_2, false),
                                                        more("fragment3")};
                       std::vector<Frame> twice = once;
                       twice.insert(twice.end(), once.begin(), once.end());
                       return failure(std::move(twice), 1002);
                     }});
  }
  cases.push_back({"5.18", [] { return failure({text(part_1, false), text(part_2)}, 1002); }});
  cases.push_back({"5.19", [] { return slow_fragments(at_once); }});
  cases.push_back({"5.20", [] { return slow_fragments(frame_wise); }});
}

}  // namespace

void add_framing_cases(std::vector<Case>& cases) {
  add_messages(cases);
  add_pings(cases);
  add_reserved_bits(cases);
  add_reserved_opcodes(cases);
  add_fragments(cases);
}

}  // namespace tern::conformance
