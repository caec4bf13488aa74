// Runs an engine while allocations fail, and looks at what its peer and the next connection get.
// For one translation unit of a program without sanitizers.
#pragma once

#include "tern/engine.h"

#include "support/counting_malloc.h"
#include "support/quiet_driver.h"
#include "support/wire.h"

#include <algorithm>
#include <cstddef>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace tern::test {

/// Takes the events and the output of an engine. It allocates nothing meanwhile. A class made of it
/// has run(), which does everything that a connection does; hello(), the bytes of a message; and
/// least_frames, the number of frames that run() writes at least.
class Exercise {
 public:
  /// `most` bounds the bytes that are written.
  explicit Exercise(std::size_t most) : most_(most) { written_.reserve(most); }

  /// Answers and echoes all that was fed. In each third turn the engine keeps the rest each time.
  void pull(Engine& engine, std::size_t turn) {
    while (const Event event = engine.next()) {
      opened += event.kind() == Event::Kind::open ? 1 : 0;
      closed += event.kind() == Event::Kind::closed ? 1 : 0;
      if (event.kind() == Event::Kind::request) engine.accept();
      if (event.kind() == Event::Kind::message) engine.send(event.message());
      if (turn % 3 == 0) engine.stash();
    }
  }
  void write(Engine& engine, std::size_t most) {
    while (most > 0) {
      std::size_t size = 0;
      for (const iovec& piece : engine.output()) {
        const std::size_t part = std::min(piece.iov_len, most - size);
        written_.append(static_cast<const char*>(piece.iov_base), part);
        size += part;
      }
      if (size == 0) return;
      engine.consume_output(size);
      most -= size;
    }
  }
  /// Writes the rest of the output. Then the peer ends TCP.
  void finish(Engine& engine) {
    write(engine, most_);
    engine.feed_eof();
    pull(engine, 1);
    write(engine, most_);
    pull(engine, 1);
  }

  std::size_t opened = 0;
  std::size_t closed = 0;
  std::string_view written() const { return written_; }

 private:
  std::size_t most_;
  std::string written_{};
};

struct Shortage {
  bool fired = false;     ///< an allocation failed
  bool reported = false;  ///< on_close told it
};

/// Runs an open engine whose allocation number `n` fails, and with `permanent` all later ones. Only
/// this connection ends: its written output is valid to the last byte, and the next one works.
template <class E>
Shortage run_short(E exercise, Role role, const EngineOptions& options, const Agreement& agreement,
                   std::size_t n, bool permanent) {
  Workspace workspace;
  faults = 0;
  for_good = permanent;
  fails_at = allocations + n;
  auto engine = Engine::established(role, agreement, options, workspace);
  if (engine) exercise.run(*engine);
  fails_at = none;
  Shortage result{.fired = faults > 0};
  if (!engine) {
    EXPECT_EQ(engine.error().code(), Errc::no_memory);
    return result;
  }
  EXPECT_EQ(exercise.closed, 1u);
  EXPECT_TRUE(engine->finished());
  FrameReader reader(role);
  if (agreement.deflate) reader.take_compressed(15, agreement.deflate->takeover);
  reader.feed(exercise.written());
  EXPECT_EQ(reader.fault(), "");
  const CloseInfo& info = engine->close_info();
  if (!result.fired) {
    EXPECT_EQ(info.error, Errc::end_of_stream);
    EXPECT_GE(reader.frames().size(), E::least_frames);
  } else if (info.error == Errc::no_memory) {
    result.reported = true;
    EXPECT_EQ(info.code, CloseCode::internal_error);
    EXPECT_EQ(exercise.opened == 1, info.opened);
  }
  QuietDriver next(role, options, workspace, agreement);
  next.turn(exercise.hello());
  EXPECT_EQ(next.events, 2u);
  return result;
}

}  // namespace tern::test
