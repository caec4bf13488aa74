// stdout, or the file of -o.
#pragma once

#include "tern/error.h"
#include "tern/loop.h"
#include "tern/unique_function.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace command {

/// Writes without blocking the loop. Bytes that a slow reader does not take wait in memory. The
/// owner stops the source when too many bytes wait. The flags of stdout stay as they are. Thread:
/// the loop's.
class Output {
 public:
  /// `on_change` is called when fewer bytes wait than before, or when writing has failed.
  Output(tern::Loop& loop, tern::UniqueFunction<void()> on_change);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Opens the file, or stdout if `path` is empty. Errors: those of open().
  tern::Result<void> open(const std::string& path);
  /// Whether it is a terminal.
  bool is_terminal() const noexcept { return terminal_; }
  /// Queues bytes, which are written at the end of the turn.
  void write(std::string_view bytes);
  /// Whether so much waits that nothing should be added.
  bool is_behind() const noexcept { return pending_.size() - written_ > most_pending; }
  bool is_empty() const noexcept { return pending_.size() == written_; }
  /// Why writing failed. Then nothing waits, and write() does nothing.
  std::error_code error() const noexcept { return error_; }

 private:
  // How the loop learns that the descriptor takes bytes. A file always does, as far as epoll knows.
  enum class Sink : std::uint8_t { unopened, watched, always_ready };

  static constexpr std::size_t most_pending = std::size_t{256} << 10;

  void flush_later();
  void flush();
  bool write_some();
  void wait_for_room();
  void fail(std::error_code why);

  tern::Loop& loop_;
  tern::UniqueFunction<void()> on_change_;
  tern::Watch watch_{};
  int fd_ = -1;
  Sink sink_ = Sink::unopened;
  bool terminal_ = false;
  bool is_pipe_ = false;
  bool may_block_ = false;
  bool posted_ = false;  // a flush is posted
  std::string pending_{};
  std::size_t written_ = 0;  // of pending_
  std::error_code error_{};
};

}  // namespace command
