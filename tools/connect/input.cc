// Reads stdin in pieces, one for each turn of the loop, and splits them into records. Files need a
// way of their own, because epoll refuses them.
#include "connect/input.h"

#include "descriptor.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace command {
namespace {

constexpr std::size_t piece_bytes = std::size_t{64} << 10;

}  // namespace

// ---- Records

void Records::feed(std::string_view bytes) {
  if (begin_ > 0) {
    bytes_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  bytes_ += bytes;
}

std::optional<std::string_view> Records::front() noexcept {
  const std::size_t end = bytes_.find(separator_, scanned_);
  if (end != bytes_.npos) {
    scanned_ = end;
    return std::string_view(bytes_).substr(begin_, end - begin_);
  }
  scanned_ = bytes_.size();
  if (!ended_ || begin_ == bytes_.size()) return {};
  return std::string_view(bytes_).substr(begin_);
}

void Records::pop() noexcept {
  begin_ = scanned_ < bytes_.size() ? scanned_ + 1 : bytes_.size();
  scanned_ = begin_;
}

// ---- Input

Input::Input(tern::Loop& loop, char separator, std::size_t max_record,
             tern::UniqueFunction<void()> on_change)
    : loop_(loop), records_(separator), max_record_(max_record), on_change_(std::move(on_change)) {}

void Input::want(bool wanted) {
  wanted_ = wanted && !ended_;
  if (wanted_ && source_ == Source::unopened) open();
  if (source_ == Source::posted) {
    if (wanted_) read_later();
  } else if (watch_) {
    if (auto set = watch_.set_interest(wanted_ ? tern::Interest::read : tern::Interest::none); !set)
      end(set.error().code());
  }
}

// epoll refuses files and /dev/null, which are always ready.
void Input::open() {
  const int fd = open_again(STDIN_FILENO, O_RDONLY);
  if (fd < 0) return end({errno, std::system_category()});
  auto watch = loop_.watch(fd, tern::Interest::read, [this](tern::Ready) { read_piece(); });
  source_ = watch ? Source::watched : Source::posted;
  if (watch) {
    watch_ = *std::move(watch);
  } else {
    ::close(fd);
  }
}

// One piece for each turn of the loop, so that the connection goes on meanwhile.
void Input::read_later() {
  if (std::exchange(posted_, true)) return;
  const bool accepted = loop_.post([this] {
    posted_ = false;
    if (wanted_) read_piece();
  });
  if (!accepted) end(make_error_code(std::errc::not_enough_memory));
}

void Input::read_piece() {
  std::array<char, piece_bytes> piece;
  const int fd = watch_ ? watch_.fd() : STDIN_FILENO;
  const ssize_t size = ::read(fd, piece.data(), piece.size());
  if (size > 0) {
    records_.feed({piece.data(), static_cast<std::size_t>(size)});
    if (!records_.front() && records_.size() > max_record_) {
      return end(make_error_code(std::errc::message_size));
    }
  } else if (size == 0) {
    return end({});
  } else if (errno != EAGAIN && errno != EINTR) {
    return end({errno, std::system_category()});
  }
  if (source_ == Source::posted && wanted_) read_later();
  on_change_();
}

void Input::end(std::error_code why) {
  ended_ = true;
  wanted_ = false;
  error_ = why;
  watch_.close();
  if (!why) records_.end();
  on_change_();
}

}  // namespace command
