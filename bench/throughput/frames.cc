// Makes payloads that resemble real text and JSON, because the content decides the cost of UTF-8
// checks and of compression.
#include "throughput/frames.h"

#include "simd/mask.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <utility>

namespace tern::bench {
namespace {

// Latin with marks, Greek, Cyrillic, Devanagari, CJK, symbols, emoji. The lengths of neighbours
// differ often, so that a decoder's branches are hard to predict.
constexpr std::string_view many_scripts = "äλЖ漢🙂éδ語€हы🚀ñ字";
constexpr std::uint32_t masking_key = 0xA53C'96F1;

// An array of orders, closed by a note that fills it to its size. As in real lists, names of
// fields, states and streets repeat; numbers, times and names do not.
std::string make_json(std::size_t size, std::uint32_t variant) {
  constexpr std::array<std::string_view, 8> first{"Ada",   "Bea",   "Chen",  "Deniz",
                                                  "Elena", "Farid", "Grace", "Hiro"};
  constexpr std::array<std::string_view, 8> last{"Anders",  "Bianchi", "Castro", "Dubois",
                                                 "Eriksen", "Fischer", "Garcia", "Haddad"};
  constexpr std::array<std::string_view, 4> state{"pending", "shipped", "delivered", "returned"};
  constexpr std::array<std::string_view, 6> thing{"lamp",     "desk",   "chair",
                                                  "notebook", "kettle", "headphones"};
  std::uint32_t seed = 1 + variant * 2654435761u;  // far apart, so that ids and names differ too
  const auto draw = [&seed](std::size_t below) {
    seed = seed * 1664525u + 1013904223u;
    return static_cast<std::size_t>(seed >> 8) % below;
  };
  std::string text = "[";
  for (std::size_t id = 48'211;; id += 1 + draw(7)) {
    const std::string_view name = first[draw(first.size())];
    const std::string_view family = last[draw(last.size())];
    std::string order = R"({"id":)" + std::to_string(id) + R"(,"customer":{"name":")";
    order.append(name).append(" ").append(family).append(R"(","city":")");
    order.append(std::to_string(10'000 + draw(89'999))).append(R"("},"created":"2026-0)");
    order.append(std::to_string(1 + draw(9))).append("-").append(std::to_string(10 + draw(18)));
    order.append("T").append(std::to_string(10 + draw(14))).append(":");
    order.append(std::to_string(10 + draw(50))).append(R"(:00Z","state":")");
    order.append(state[draw(state.size())]).append(R"(","items":[)");
    for (std::size_t items = 1 + draw(3); items > 0; --items) {
      order.append(R"({"sku":")").append(thing[draw(thing.size())]).append("-");
      order.append(std::to_string(100 + draw(900))).append(R"(","count":)");
      order.append(std::to_string(1 + draw(9))).append(R"(,"price":)");
      order.append(std::to_string(5 + draw(495))).append(".").append(std::to_string(10 + draw(90)));
      order.append(items > 1 ? "}," : "}");
    }
    order.append(R"(],"paid":)").append(draw(4) != 0 ? "true" : "false").append("},");
    if (text.size() + order.size() + 2 > size) break;
    text += order;
  }
  std::string note = "\"";
  while (note.size() < size) note.append(thing[draw(thing.size())]).append(1, ' ');
  note.resize(size - std::min(size, text.size() + 2));
  return text.append(note).append("\"]").substr(0, size);
}

// Returns the longest beginning of `text` that has at most `size` bytes and ends between
// characters.
std::string_view whole_characters(std::string_view text, std::size_t size) noexcept {
  if (size >= text.size()) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace

std::string_view to_string(PayloadKind kind) noexcept {
  constexpr std::array<std::string_view, 4> names{"binary", "ascii", "mixed", "json"};
  return names[static_cast<std::size_t>(kind)];
}

frame::Opcode opcode_of(PayloadKind kind) noexcept {
  return kind == PayloadKind::binary ? frame::Opcode::binary : frame::Opcode::text;
}

std::string make_payload(PayloadKind kind, std::size_t size, std::uint32_t variant) {
  std::string payload;
  payload.reserve(size);
  if (kind == PayloadKind::mixed) {
    while (payload.size() + many_scripts.size() <= size) payload += many_scripts;
    payload += whole_characters(many_scripts, size - payload.size());
    payload.resize(size, '.');
    return payload;
  }
  if (kind == PayloadKind::json) return make_json(size, variant);
  std::uint32_t state = 1;
  while (payload.size() < size) {
    state = state * 1664525u + 1013904223u;  // Knuth's linear congruential generator
    const std::uint32_t random = state >> 24;
    payload += static_cast<char>(kind == PayloadKind::ascii ? ' ' + random % 95 : random);
  }
  return payload;
}

std::vector<std::byte> make_frame(frame::Opcode opcode, std::string_view payload,
                                  frame::Masking masking, bool compressed) {
  const frame::Header header{.length = payload.size(),
                             .key = masking_key,
                             .opcode = opcode,
                             .fin = true,
                             .compressed = compressed};
  std::vector<std::byte> bytes(frame::max_header_bytes + payload.size());
  const std::size_t size = frame::encode_header(bytes.data(), header, masking);
  bytes.resize(size + payload.size());
  const std::uint32_t key = masking == frame::Masking::masked ? masking_key : 0;
  simd::mask_copy(bytes.data() + size, std::as_bytes(std::span(payload)), key);
  return bytes;
}

FrameTrain::FrameTrain(const std::vector<std::vector<std::byte>>& frames, std::size_t at_least) {
  for (const std::vector<std::byte>& frame : frames) {
    begins_.push_back(bytes_.size());
    bytes_.insert(bytes_.end(), frame.begin(), frame.end());
  }
  round_bytes_ = bytes_.size();
  bytes_.resize(std::max(round_bytes_, begins_.back() + at_least));
  for (std::size_t at = round_bytes_; at < bytes_.size(); ++at) {
    bytes_[at] = bytes_[at - round_bytes_];
  }
}

std::span<const std::byte> FrameTrain::from(std::uint64_t offset, std::size_t most) const noexcept {
  const auto phase = static_cast<std::size_t>(offset % round_bytes_);
  return std::span(bytes_).subspan(phase, std::min(most, bytes_.size() - phase));
}

std::size_t TrainSender::take_begun(const FrameTrain& train) noexcept {
  const std::uint64_t told = begun_;
  while (begun_ < end_ && train.offset_of(begun_) < sent_) ++begun_;
  return static_cast<std::size_t>(begun_ - told);
}

template <class F>
bool TrainSender::send_with(F&& send, const FrameTrain& train) noexcept {
  while (owed_ > 0) {
    const auto piece = train.from(sent_, owed_);
    const ssize_t sent = send(piece);
    if (sent < 0) return errno == EAGAIN;
    owed_ -= static_cast<std::size_t>(sent);
    sent_ += static_cast<std::uint64_t>(sent);
    if (static_cast<std::size_t>(sent) < piece.size())
      return true;  // the next call would only return EAGAIN
  }
  return true;
}

bool TrainSender::send(int socket, const FrameTrain& train) noexcept {
  return send_with(
      [socket](std::span<const std::byte> piece) {
        return ::send(socket, piece.data(), piece.size(), MSG_NOSIGNAL);
      },
      train);
}

bool TrainSender::send(Wire& wire, const FrameTrain& train) noexcept {
  return wire.flush() &&
         send_with([&wire](std::span<const std::byte> piece) { return wire.send(piece); }, train);
}

}  // namespace tern::bench
