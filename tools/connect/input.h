// stdin as records: the text up to each separator.
#pragma once

#include "tern/loop.h"
#include "tern/unique_function.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace command {

/// Cuts bytes into records.
class Records {
 public:
  explicit Records(char separator) noexcept : separator_(separator) {}

  void feed(std::string_view bytes);
  /// No bytes follow: what is left is a record too.
  void end() noexcept { ended_ = true; }
  /// The first record; nothing if it is not whole yet. Lifetime: until feed() or pop().
  std::optional<std::string_view> front() noexcept;
  /// Removes the first record.
  void pop() noexcept;
  /// The number of bytes that wait.
  std::size_t size() const noexcept { return bytes_.size() - begin_; }

 private:
  std::string bytes_{};
  std::size_t begin_ = 0;    // of the first record
  std::size_t scanned_ = 0;  // there is no separator between begin_ and here
  const char separator_;
  bool ended_ = false;
};

/// Reads records from stdin when they are wanted, in pieces of 64 KiB. stdin may be a terminal, a
/// pipe, a socket, a file or /dev/null, and its flags stay as they are. Thread: the loop's.
class Input {
 public:
  /// `on_change` is called when there may be another record or the end.
  Input(tern::Loop& loop, char separator, std::size_t max_record,
        tern::UniqueFunction<void()> on_change);

  /// Reads until there is a record, or reads nothing.
  void want(bool wanted);
  /// The next record. Lifetime: until pop() or want().
  std::optional<std::string_view> front() noexcept { return records_.front(); }
  void pop() noexcept { records_.pop(); }
  /// Whether stdin has ended and all records are popped.
  bool is_over() noexcept { return ended_ && !records_.front(); }
  /// Why reading failed; message_size: a record is longer than `max_record`.
  std::error_code error() const noexcept { return error_; }

 private:
  // How the loop learns that there is something to read.
  enum class Source : std::uint8_t { unopened, watched, posted };

  void open();
  void read_later();
  void read_piece();
  void end(std::error_code why);

  tern::Loop& loop_;
  Records records_;
  const std::size_t max_record_;
  tern::UniqueFunction<void()> on_change_;
  tern::Watch watch_{};
  Source source_ = Source::unopened;
  bool wanted_ = false;
  bool posted_ = false;  // a read is posted
  bool ended_ = false;
  std::error_code error_{};
};

}  // namespace command
