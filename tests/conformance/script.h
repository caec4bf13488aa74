// What a case is: what the tester sends, how that is cut into writes, what must come back, and how
// the connection must end. Data alone: tester.cc runs it, judge.cc judges what happened.
//
// A script says nothing of roles, masks or sockets, so that one table serves both roles of tern and
// every way to reach it. Compression is laid over it: negotiation.h says what a case offers, and
// packs the messages of its script.
#pragma once

#include "support/wire.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tern::conformance {

using test::Frame;

/// How the octets of a step are handed to TCP.
struct Writing {
  enum class Kind { at_once, frame_wise, chopped };
  Kind kind = Kind::at_once;
  std::size_t chop = 0;  // chopped: octets of one write
};

inline constexpr Writing at_once{};
inline constexpr Writing frame_wise{Writing::Kind::frame_wise};
inline constexpr Writing octet_wise{Writing::Kind::chopped, 1};
constexpr Writing chops_of(std::size_t octets) { return {Writing::Kind::chopped, octets}; }

struct Step {
  enum class Kind {
    send,        ///< the frames, but for the last `count` octets, which are held back
    release,     ///< the next `count` octets of those
    await,       ///< until `count` events have come
    still_open,  ///< the subject says nothing and stays; told as the event "open"
    must_end,    ///< the subject ends the connection; if it does not, that is an event "open"
  };
  Kind kind = Kind::send;
  std::vector<Frame> frames{};
  Writing writing{};
  std::size_t count = 0;
};

inline Step send(std::vector<Frame> frames, Writing writing = at_once, std::size_t held = 0) {
  return {Step::Kind::send, std::move(frames), writing, held};
}
inline Step release(std::size_t octets) { return {Step::Kind::release, {}, {}, octets}; }
inline Step await(std::size_t events) { return {Step::Kind::await, {}, {}, events}; }
inline Step still_open() { return {Step::Kind::still_open}; }
inline Step must_end() { return {Step::Kind::must_end}; }

/// How the connection must end.
struct Ending {
  enum class By { tester, subject };
  By by = By::tester;            ///< whose Close frame, or end of TCP, comes first
  bool clean = true;             ///< both Close frames, then TCP ended by the server first
  std::vector<int> codes{1000};  ///< codes that the subject's Close frame may have; none always may
  bool code_fatal = false;       ///< a wrong code fails the case itself
  bool side_fatal = false;       ///< so does a tester that has to end the connection
};

/// The subject must fail the connection, RFC 6455 §7.1.7.
inline Ending fails_with(int code) { return {Ending::By::subject, false, {code}}; }

using Events = std::vector<std::string>;

struct Script {
  std::vector<Step> steps{};
  Events expected{};                   ///< "text Hello", "pong x", "open": all there may be
  std::optional<Events> non_strict{};  ///< what would be forgiven; tern does not need it
  Ending ending{};
  std::size_t rounds = 1;  ///< how often steps and expected come, one after the other
};

struct Case {
  std::string id;
  std::function<Script()> script;  ///< made when it is run: some are megabytes long
  bool informational = false;      ///< nothing is right or wrong: what happens is written down
};

/// Whether the tester began to close: a Close frame, however bad its payload.
inline bool is_close(const Frame& frame) { return frame.opcode == 8 && frame.rsv == 0; }

inline bool closes_itself(const Script& script) {
  for (const Step& step : script.steps) {
    for (const Frame& frame : step.frames) {
      if (is_close(frame)) return true;
    }
  }
  return false;
}

}  // namespace tern::conformance
