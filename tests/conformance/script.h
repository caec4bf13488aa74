// A case is data: the frames that the tester sends, their cuts into writes, the expected reply, and
// the expected end of the connection. tester.cc runs it, and judge.cc judges the result.
//
// A script contains no roles, masks or sockets, so that one table serves both roles of tern and
// every way to reach it. Compression is a layer on top: negotiation.h has the offers of a case, and
// compresses the messages of its script.
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

/// The way in which the bytes of a step are written to TCP.
struct Writing {
  enum class Kind { at_once, frame_wise, chopped };
  Kind kind = Kind::at_once;
  std::size_t chop = 0;  // chopped: bytes of one write
};

inline constexpr Writing at_once{};
inline constexpr Writing frame_wise{Writing::Kind::frame_wise};
inline constexpr Writing byte_wise{Writing::Kind::chopped, 1};
constexpr Writing chops_of(std::size_t bytes) { return {Writing::Kind::chopped, bytes}; }

struct Step {
  enum class Kind {
    send,        ///< send the frames except their last `count` bytes, which are held back
    release,     ///< send the next `count` of the held bytes
    await,       ///< wait until `count` events have come
    still_open,  ///< check that the subject stays and is silent; reported as the event "open"
    must_end,    ///< check that the subject ends the connection; else the event is "open"
  };
  Kind kind = Kind::send;
  std::vector<Frame> frames{};
  Writing writing{};
  std::size_t count = 0;
};

inline Step send(std::vector<Frame> frames, Writing writing = at_once, std::size_t held = 0) {
  return {Step::Kind::send, std::move(frames), writing, held};
}
inline Step release(std::size_t bytes) { return {Step::Kind::release, {}, {}, bytes}; }
inline Step await(std::size_t events) { return {Step::Kind::await, {}, {}, events}; }
inline Step still_open() { return {Step::Kind::still_open}; }
inline Step must_end() { return {Step::Kind::must_end}; }

/// The required end of the connection.
struct Ending {
  enum class By { tester, subject };
  By by = By::tester;  ///< the side whose Close frame or end of TCP comes first
  bool clean = true;   ///< both Close frames, then TCP ended by the server first
  std::vector<int> codes{
      1000};  ///< allowed codes of the subject's Close frame; an empty Close is always allowed
  bool code_fatal = false;  ///< a wrong code fails the case itself
  bool side_fatal = false;  ///< a tester that must end the connection fails the case itself
};

/// The subject must fail the connection, RFC 6455 §7.1.7.
inline Ending fails_with(int code) { return {Ending::By::subject, false, {code}}; }

using Events = std::vector<std::string>;

struct Script {
  std::vector<Step> steps{};
  Events expected{};                   ///< "text Hello", "pong x", "open": all events that may come
  std::optional<Events> non_strict{};  ///< events of the non-strict verdict; tern does not need it
  Ending ending{};
  std::size_t rounds = 1;  ///< the number of repetitions of steps and expected
};

struct Case {
  std::string id;
  std::function<Script()> script;  ///< makes the script at run time, because some have megabytes
  bool informational = false;      ///< no behaviour is wrong; the result is only recorded
};

/// Whether the tester began to close: it sent a Close frame, valid or not.
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
