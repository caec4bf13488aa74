// Puts a message together from its frames.
//
//   compressed ──▶ unmasked in place, inflated to the assembly as it arrives ──▶ FIN ──▶ handed out
//   otherwise ──▶ unmasked while it is copied to the assembly as it arrives ──▶ FIN ──▶ handed out
//
// The assembly grows with the bytes that arrived, never with the length that a header announces.
// Text is checked piece by piece, so it fails at its first impossible byte (§8.1). The limit of a
// compressed message applies to its inflated size: it is inflated in small steps, and never further
// than one byte beyond the limit. A call of next() takes one such step and then returns `working`,
// because a few bytes can inflate to a megabyte and other connections wait meanwhile.
#include "engine/inbound.h"

#include <algorithm>
#include <cstring>

namespace tern::engine {
namespace {

// The most bytes of a compressed message that one call of next() reads and writes.
constexpr std::size_t max_step_in = std::size_t{16} << 10;
constexpr std::size_t max_step_out = std::size_t{64} << 10;

}  // namespace

Inbound::Progress Inbound::read_data() {
  if (at_.skipping) return skip_payload();
  return compressed_ ? read_compressed() : read_payload();
}

Inbound::Progress Inbound::skip_payload() noexcept {
  const std::uint64_t taken = std::min<std::uint64_t>(available(), remaining_);
  cursor_ += taken;
  remaining_ -= taken;
  return remaining_ == 0 ? Progress::done : Progress::starved;
}

Inbound::Progress Inbound::read_payload() {
  const std::size_t taken =
      static_cast<std::size_t>(std::min<std::uint64_t>(available(), remaining_));
  if (taken > 0) {
    grow(assembled_ + taken);
    const std::span<std::byte> piece(assembly_.data() + assembled_, taken);
    if (masking_ == frame::Masking::masked) {
      simd::mask_copy(piece.data(), {cursor_, taken}, header_.key);
      header_.key = simd::rotate_key(header_.key, taken);
    } else {
      std::memcpy(piece.data(), cursor_, taken);
    }
    cursor_ += taken;
    remaining_ -= taken;
    assembled_ += taken;
    if (!check_text(piece)) return fault(Errc::text_not_utf8), Progress::failed;
  }
  return remaining_ == 0 ? Progress::done : Progress::starved;
}

// Makes one step. `unmasked_` counts the bytes that are unmasked and that the inflater has not
// taken.
Inbound::Progress Inbound::read_compressed() {
  const std::uint64_t here = std::min<std::uint64_t>(available(), remaining_);
  const std::span<std::byte> piece(
      cursor_, static_cast<std::size_t>(std::min<std::uint64_t>(here, max_step_in)));
  if (masking_ == frame::Masking::masked && unmasked_ < piece.size()) {
    const std::span<std::byte> masked = piece.subspan(unmasked_);
    simd::mask(masked, header_.key);
    header_.key = simd::rotate_key(header_.key, masked.size());
  }
  if (piece.empty() && !at_.output_waits) {
    return remaining_ == 0 ? Progress::done : Progress::starved;
  }
  std::size_t consumed = 0;
  const Progress progress = inflate(piece, false, consumed);
  cursor_ += consumed;
  remaining_ -= consumed;
  unmasked_ = piece.size() - consumed;
  at_.output_waits = progress == Progress::unfinished;
  if (progress != Progress::done) return progress;
  if (remaining_ == 0) return Progress::done;
  return available() > 0 ? Progress::unfinished : Progress::starved;
}

// Returns the connection's inflater if its messages refer to earlier ones. Otherwise it borrows one
// of the thread until FIN.
deflate::Inflater& Inbound::inflater() {
  if (kept_ != nullptr) {
    if (!*kept_) *kept_ = std::make_unique<deflate::Inflater>(window_bits_);
    return **kept_;
  }
  if (!borrowed_) borrowed_ = contexts_->take_inflater();
  return *borrowed_;
}

// Returns the room for the next bytes. At the limit this is `beyond`, which shows whether more
// bytes come.
std::span<std::byte> Inbound::inflate_room(std::span<std::byte> beyond, std::size_t most_out) {
  const std::size_t most = limits_->max_message_bytes;
  if (assembled_ >= most) return beyond;
  if (assembled_ == assembly_.capacity()) {
    pool_->grow(assembly_, assembled_, std::min(most, std::max(max_step_out, 4 * assembled_)));
  }
  const std::size_t room = std::min(assembly_.capacity(), most) - assembled_;
  return {assembly_.data() + assembled_, std::min(room, most_out)};
}

// Text is checked before a later fault is reported, so the fault does not depend on the steps.
Inbound::Progress Inbound::inflate(std::span<const std::byte> piece, bool last,
                                   std::size_t& consumed) {
  deflate::Inflater& inflater = this->inflater();
  for (std::size_t left = max_step_out; left > 0;) {
    std::array<std::byte, 1> beyond;
    const std::span<std::byte> out = inflate_room(beyond, left);
    const deflate::Inflater::Step step =
        last ? inflater.finish(out) : inflater.inflate(piece.subspan(consumed), out);
    consumed += step.consumed;
    if (step.produced > 0) {
      if (out.data() == beyond.data()) return fault(Errc::message_too_big), Progress::failed;
      assembled_ += step.produced;
      if (!check_text(out.first(step.produced))) {
        return fault(Errc::text_not_utf8), Progress::failed;
      }
    }
    if (step.corrupt) return fault(Errc::deflate_corrupt), Progress::failed;
    if (step.produced < out.size()) return Progress::done;
    left -= step.produced;
  }
  return Progress::unfinished;
}

// The last frame of the message stays in progress until everything is inflated.
Event Inbound::finish_message() {
  if (compressed_) {
    std::size_t consumed = 0;
    const Progress progress = inflate({}, true, consumed);
    if (progress == Progress::unfinished) return Event(Event::Kind::working);
    if (progress == Progress::failed) return Event(Event::Kind::closed);
    contexts_->give_back(std::move(borrowed_));
    compressed_ = false;
  }
  at_.in_frame = at_.in_message = false;
  if (type_ == MessageType::text && !text_.complete()) return fault(Errc::text_not_utf8);
  text_ = {};
  const std::span<const std::byte> payload(assembly_ ? assembly_.data() : nullptr, assembled_);
  delivered_ = std::move(assembly_);
  delivered_size_ = std::exchange(assembled_, 0);
  return Event(Event::Kind::message, Message(type_, payload));
}

bool Inbound::check_text(std::span<const std::byte> piece) noexcept {
  return type_ != MessageType::text || text_.feed(piece);
}

// Makes room for `needed` bytes of the message. The pool's chunks are up to four times as large as
// needed. For a larger message, this function requests four times as much, because otherwise
// each fragment would copy all bytes before it. It requests no more than the message can become, so
// memory follows the bytes that were received.
void Inbound::grow(std::size_t needed) {
  if (needed <= assembly_.capacity()) return;
  std::size_t wanted = needed;
  if (needed > base::ChunkPool::largest) {
    const std::uint64_t most =
        header_.fin ? std::uint64_t{assembled_} + remaining_ : limits_->max_message_bytes;
    wanted = std::max(needed, static_cast<std::size_t>(std::min<std::uint64_t>(most, 4 * needed)));
  }
  base::ChunkRef larger = pool_->take(wanted);
  if (assembled_ > 0) std::memcpy(larger.data(), assembly_.data(), assembled_);
  assembly_ = std::move(larger);
}

// Frees the assembly, because the Close frame may need its memory.
Event Inbound::fault(Errc errc) noexcept {
  error_ = errc;
  assembly_.reset();
  return Event(Event::Kind::closed);
}

}  // namespace tern::engine
