// Reads one reply and, if that is asked for, compares its content.
#include "throughput/reply.h"

#include "frame/header.h"
#include "throughput/packing.h"

#include <array>
#include <stdexcept>
#include <string>

namespace tern::bench {
namespace {

// A message of one or several frames.
class Reader {
 public:
  explicit Reader(Wire& wire) noexcept : wire_(wire) {}

  const std::vector<std::byte>& bytes() const noexcept { return bytes_; }
  std::size_t header_bytes() const noexcept { return header_bytes_; }

  std::string read() {
    std::string payload;
    bool compressed = false;
    for (std::size_t at = 0;;) {
      const frame::Header header = read_header(at);
      if (header_bytes_ == 0) {
        header_bytes_ = at;
        compressed = header.compressed;
      }
      const auto length = static_cast<std::size_t>(header.length);
      want(at + length);
      payload.append(reinterpret_cast<const char*>(bytes_.data()) + at, length);
      at += length;
      if (!header.fin) continue;
      if (bytes_.size() != at) throw std::runtime_error("bytes follow a reply");
      return compressed ? unpack(payload) : payload;
    }
  }

 private:
  frame::Header read_header(std::size_t& at) {
    const auto rsv1 = at == 0 ? frame::Rsv1::compressed : frame::Rsv1::reserved;
    for (std::size_t size = 2;; ++size) {
      want(at + size);
      frame::Header header;
      const frame::Decoded decoded = frame::decode_header(std::span(bytes_).subspan(at),
                                                          frame::Masking::unmasked, header, rsv1);
      if (decoded.failed() || (decoded.size > 0 && frame::is_control(header.opcode))) {
        throw std::runtime_error("the reply has a frame that no echo can have");
      }
      if (decoded.size == 0) continue;
      at += decoded.size;
      return header;
    }
  }

  void want(std::size_t size) {
    std::array<std::byte, 16'384> buffer;
    while (bytes_.size() < size) {
      const std::size_t got = receive_waiting(wire_, buffer);
      bytes_.insert(bytes_.end(), buffer.begin(),
                    buffer.begin() + static_cast<std::ptrdiff_t>(got));
    }
  }

  Wire& wire_;
  std::vector<std::byte> bytes_{};
  std::size_t header_bytes_ = 0;
};

}  // namespace

Reply read_reply(Wire& wire, std::string_view payload, bool check_content) {
  const std::uint64_t before = wire.received();
  Reader reader(wire);
  const std::string got = reader.read();
  if (got.size() != payload.size() || (check_content && got != payload)) {
    throw std::runtime_error("a reply is not the echo of what was sent");
  }
  return {.bytes = reader.bytes(),
          .header_bytes = reader.header_bytes(),
          .wire_bytes = static_cast<std::size_t>(wire.received() - before)};
}

Reply learn_reply(const Target& target, std::span<const std::byte> request,
                  std::string_view payload, bool check_content) {
  Wire wire = connect_and_upgrade(target, 1);
  reset_on_close(wire.socket());
  send_waiting(wire, request);
  return read_reply(wire, payload, check_content);
}

}  // namespace tern::bench
