// The source writes straight to the output queue, so that a file is copied once. A chunk has its
// size in front of it (RFC 9112 §7.1):
//
//   "1000" CRLF  4096 bytes  CRLF    …    "0" CRLF CRLF
//
// The size is known only after the read. So the digits of the largest possible size are kept free,
// and the bytes move down if the size has fewer digits. That happens only if a sixteenth of the
// room was used or less.
#include "engine/pulled_body.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace tern::engine {
namespace {

using http::BodyForm;

constexpr std::size_t most_room = std::size_t{64} << 10;  // of one read
constexpr std::size_t least_room = std::size_t{4} << 10;  // below it, a new chunk of memory
constexpr std::string_view line_end = "\r\n";
constexpr std::string_view last_chunk = "0\r\n\r\n";

std::size_t hex_digits(std::size_t number) noexcept {
  std::size_t digits = 1;
  while (number >>= 4) ++digits;
  return digits;
}

}  // namespace

PulledBody::PulledBody(std::shared_ptr<http::BodySource> source, BodyForm form) noexcept
    : source_(std::move(source)),
      left_(source_->size().value_or(0)),
      form_(form),
      complete_(form == BodyForm::sized && left_ == 0) {}

void PulledBody::pull(Outbound& out) {
  form_ == BodyForm::chunked ? pull_chunk(out) : pull_plain(out);
}

void PulledBody::pull_plain(Outbound& out) {
  std::size_t most = most_room;
  std::size_t least = least_room;
  if (form_ == BodyForm::sized) {
    most = static_cast<std::size_t>(std::min<std::uint64_t>(left_, most_room));
    least = most;  // a read of a file is a system call, so it is as large as possible
  }
  const std::span<std::byte> room = out.http_room(least, most);
  const auto got = source_->read(room);
  out.wrote_http(got.value_or(0));
  if (form_ == BodyForm::until_close) {
    complete_ = !got;
    return;
  }
  if (!got) throw std::length_error("the body is shorter than its size");
  left_ -= *got;
  complete_ = left_ == 0;
}

void PulledBody::pull_chunk(Outbound& out) {
  const std::span<std::byte> room = out.http_room(least_room, most_room);
  const std::size_t reserved = hex_digits(room.size()) + line_end.size();
  const std::span<std::byte> data =
      room.subspan(reserved, room.size() - reserved - line_end.size());
  const auto got = source_->read(data);
  if (!got) {
    complete_ = true;
    return out.append_bytes(std::as_bytes(std::span(last_chunk)));
  }
  if (*got == 0) return;  // a chunk of size 0 would end the body
  char* const begin = reinterpret_cast<char*>(room.data());
  char* end = std::to_chars(begin, begin + room.size(), *got, 16).ptr;
  end += line_end.copy(end, line_end.size());
  std::memmove(end, data.data(), *got);
  end += *got;
  end += line_end.copy(end, line_end.size());
  out.wrote_http(static_cast<std::size_t>(end - begin));
}

}  // namespace tern::engine
