// Writes stdout without blocking the loop. All messages of a turn are one write.
#include "connect/output.h"

#include "descriptor.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace command {
namespace {

// A pipe, a terminal or a socket that is ready takes so many bytes without blocking.
constexpr std::size_t unblocked_bytes = 4096;

// Non-blocking, because a FIFO without a reader would stop the program: its signals are blocked.
int open_file(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC, 0666);
}

}  // namespace

Output::Output(tern::Loop& loop, tern::UniqueFunction<void()> on_change)
    : loop_(loop), on_change_(std::move(on_change)) {}

Output::~Output() {
  if (sink_ == Sink::always_ready) ::close(fd_);
}

tern::Result<void> Output::open(const std::string& path) {
  fd_ = path.empty() ? open_again(STDOUT_FILENO, O_WRONLY) : open_file(path);
  if (fd_ < 0) {
    return tern::Error({errno, std::system_category()}, path.empty() ? "stdout" : path);
  }
  terminal_ = ::isatty(fd_) == 1;
  may_block_ = !is_non_blocking(fd_);
  struct stat file {};
  is_pipe_ = ::fstat(fd_, &file) == 0 && S_ISFIFO(file.st_mode);
  auto watch = loop_.watch(fd_, tern::Interest::write, [this](tern::Ready ready) {
    ready.hung_up&& is_empty() ? fail(make_error_code(std::errc::broken_pipe)) : flush();
  });
  sink_ = watch ? Sink::watched : Sink::always_ready;
  if (watch) watch_ = *std::move(watch);
  return {};
}

void Output::write(std::string_view bytes) {
  if (error_ || bytes.empty()) return;
  if (written_ == pending_.size()) {
    pending_.clear();
    written_ = 0;
  }
  pending_ += bytes;
  flush_later();
}

// One write for all messages of a turn.
void Output::flush_later() {
  if (std::exchange(posted_, true)) return;
  const bool accepted = loop_.post([this] {
    posted_ = false;
    flush();
  });
  if (!accepted) posted_ = false;
}

void Output::flush() {
  while (!is_empty() && write_some()) {
  }
  if (written_ > pending_.size() / 2) {
    pending_.erase(0, written_);
    written_ = 0;
  }
  if (!error_) wait_for_room();
  on_change_();
}

void Output::fail(std::error_code why) {
  error_ = why;
  pending_.clear();
  written_ = 0;
  watch_.close();
  on_change_();
}

// Returns whether more may be written at once.
bool Output::write_some() {
  std::string_view bytes = std::string_view(pending_).substr(written_);
  const bool one_piece = may_block_ && sink_ == Sink::watched;
  if (one_piece) bytes = bytes.substr(0, unblocked_bytes);
  const ssize_t size = ::write(fd_, bytes.data(), bytes.size());
  if (size >= 0) {
    written_ += static_cast<std::size_t>(size);
    return !one_piece;
  }
  if (errno == EINTR) return true;
  if (errno != EAGAIN) fail({errno, std::system_category()});
  return false;
}

// A pipe that is only written is never readable, so that interest reports only its error: the
// reader is gone.
void Output::wait_for_room() {
  if (!watch_) return;
  const auto idle = is_pipe_ ? tern::Interest::read : tern::Interest::none;
  const auto set = watch_.set_interest(is_empty() ? idle : tern::Interest::write);
  if (!set) fail(set.error().code());
}

}  // namespace command
