// Compresses and inflates messages. A message is a sequence of deflate blocks without its end. The
// sender flushes: the flush closes the last block with an empty stored block, 00 00 FF FF, and the
// sender leaves these four bytes out. The receiver adds them again (RFC 7692 §7.2):
//
//   blocks … | 3 bits of the empty block's header, zeros up to a byte | (00 00 FF FF)
//
// Some senders end with a final block (BFINAL, §7.2.3.4) and a byte 00 after it, so that the four
// bytes form an empty block there, too. zlib stops at a final block: the stream then starts again
// with the window kept. A message that ends exactly with its final block is accepted. A message
// that is cut anywhere else is corrupt: then the four bytes do not end at the border of a block.
//
// With context takeover a message is sent compressed even if it grows, because the next messages
// refer to it, and a new context costs more than a few bytes. zlib stores a block that it cannot
// compress, which costs 5 bytes. A block holds 16 KiB with the default memory_level, and 127 bytes
// with the smallest.
//
// zlib cannot write raw deflate with a window of 2^8. It can read it with any larger window.
#include "deflate/codec.h"

#include "deflate/params.h"

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <utility>
#include <zlib.h>

namespace tern::deflate {
namespace {

constexpr std::array<std::byte, 4> tail{std::byte{0}, std::byte{0}, std::byte{0xFF},
                                        std::byte{0xFF}};

// The value of data_type after inflate() if it stopped directly behind a block that was not the
// last and no bits are left.
constexpr int at_border = 128;
constexpr int border_mask = 128 + 63;

// The smallest step by which a buffer grows for a message that compresses badly.
constexpr std::size_t smallest_step = 4096;

// zlib counts in unsigned int and reads through a pointer that is not const.
uInt limited(std::size_t size) noexcept {
  return static_cast<uInt>(std::min<std::size_t>(size, std::numeric_limits<uInt>::max()));
}
Bytef* input(std::span<const std::byte> bytes) noexcept {
  return reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
}
Bytef* output(std::byte* bytes) noexcept { return reinterpret_cast<Bytef*>(bytes); }

}  // namespace

// ---- Inflater

Inflater::Inflater(int window_bits)
    : stream_(std::make_unique<z_stream>()),
      window_bits_(std::clamp(window_bits, min_window_bits, max_window_bits)) {
  // A negative number means raw deflate, without the header of zlib's own format.
  if (inflateInit2(stream_.get(), -window_bits_) != Z_OK) throw std::bad_alloc();
}

Inflater::~Inflater() { inflateEnd(stream_.get()); }

void Inflater::reset() noexcept {
  inflateReset(stream_.get());
  tail_ = 0;
  after_final_ = false;
}

Inflater::Step Inflater::inflate(std::span<const std::byte> in, std::span<std::byte> out) {
  tail_ = 0;
  return step(in, out);
}

Inflater::Step Inflater::step(std::span<const std::byte> in, std::span<std::byte> out) {
  z_stream& stream = *stream_;
  Step done;
  for (;;) {
    const uInt most_in = limited(in.size() - done.consumed);
    const uInt most_out = limited(out.size() - done.produced);
    stream.next_in = input(in) + done.consumed;
    stream.avail_in = most_in;
    stream.next_out = output(out.data()) + done.produced;
    stream.avail_out = most_out;
    const int result = ::inflate(&stream, Z_SYNC_FLUSH);
    done.consumed += most_in - stream.avail_in;
    done.produced += most_out - stream.avail_out;
    if (most_in != stream.avail_in) after_final_ = false;
    switch (result) {
      case Z_OK:
        break;
      case Z_BUF_ERROR:  // no input and no output is left
        return done;
      case Z_STREAM_END:
        inflateResetKeep(&stream);
        after_final_ = true;
        break;
      case Z_MEM_ERROR:
        throw std::bad_alloc();
      default:
        done.corrupt = true;
        return done;
    }
    if (done.consumed == in.size() || done.produced == out.size()) return done;
  }
}

Inflater::Step Inflater::finish(std::span<std::byte> out) {
  // A final block that ends with some of the four bytes is no end: the message was cut inside of
  // the block.
  if (after_final_ && tail_ == 0) {
    after_final_ = false;
    return {};
  }
  Step done = step(std::span(tail).subspan(tail_), out);
  // The consumed bytes are of the four, not of the input of the caller.
  tail_ = static_cast<std::uint8_t>(tail_ + std::exchange(done.consumed, 0));
  const bool more = done.produced == out.size();
  const bool whole = tail_ == tail.size() && (stream_->data_type & border_mask) == at_border;
  if (!more && !whole) done.corrupt = true;
  return done;
}

// ---- Deflater

Deflater::Deflater(const DeflateParameters& parameters)
    : stream_(std::make_unique<z_stream>()), parameters_(parameters) {
  const int result =
      deflateInit2(stream_.get(), parameters.level, Z_DEFLATED, -parameters.window_bits,
                   parameters.memory_level, Z_DEFAULT_STRATEGY);
  if (result != Z_OK) throw std::bad_alloc();
}

Deflater::~Deflater() { deflateEnd(stream_.get()); }

std::size_t Deflater::compress(std::span<const std::byte> message, bool takeover,
                               base::ChunkPool& pool, base::ChunkRef& out) {
  std::size_t size = 0;
  try {
    // Without takeover the result is used only if it is smaller than the message by at least one
    // byte. zlib writes the four bytes behind it.
    const std::size_t most = takeover ? SIZE_MAX : message.size() - 1 + tail.size();
    size = run(message, most, pool, out);
  } catch (const std::bad_alloc&) {
    deflateReset(stream_.get());
    throw;
  }
  if (!takeover) deflateReset(stream_.get());
  return size;
}

std::size_t Deflater::run(std::span<const std::byte> message, std::size_t most,
                          base::ChunkPool& pool, base::ChunkRef& out) {
  z_stream& stream = *stream_;
  out = pool.take(std::min(most, base::ChunkPool::smallest));
  std::size_t consumed = 0;
  std::size_t produced = 0;
  for (;;) {
    if (produced == out.capacity()) {
      // A message that does not shrink needs little more than its own size, and never four times
      // the size so far.
      const std::size_t likely = message.size() + message.size() / 16;
      pool.grow(out, produced, std::clamp(likely, produced + smallest_step, 4 * produced));
    }
    const uInt most_in = limited(message.size() - consumed);
    const uInt most_out = limited(std::min(most, out.capacity()) - produced);
    const bool last = consumed + most_in == message.size();
    stream.next_in = input(message) + consumed;
    stream.avail_in = most_in;
    stream.next_out = output(out.data()) + produced;
    stream.avail_out = most_out;
    ::deflate(&stream, last ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    consumed += most_in - stream.avail_in;
    produced += most_out - stream.avail_out;
    // If room is left, zlib took all of the message and flushed it.
    if (last && stream.avail_out > 0) return produced - tail.size();
    if (produced == most) return 0;
  }
}

// ---- Contexts

std::unique_ptr<Inflater> Contexts::take_inflater() {
  inflaters_.reserve(max_inflaters);  // so that give_back() does not allocate
  if (inflaters_.empty()) return std::make_unique<Inflater>(max_window_bits);
  auto inflater = std::move(inflaters_.back());
  inflaters_.pop_back();
  return inflater;
}

void Contexts::give_back(std::unique_ptr<Inflater> inflater) noexcept {
  if (inflater == nullptr || inflaters_.size() == max_inflaters) return;
  inflater->reset();
  inflaters_.push_back(std::move(inflater));
}

Deflater& Contexts::deflater(const DeflateParameters& parameters) {
  const auto found = std::ranges::find_if(
      deflaters_, [&](const auto& each) { return each->parameters() == parameters; });
  if (found != deflaters_.end()) {
    std::rotate(found, found + 1, deflaters_.end());
    return *deflaters_.back();
  }
  deflaters_.reserve(max_deflaters);
  auto made = std::make_unique<Deflater>(parameters);
  if (deflaters_.size() == max_deflaters) deflaters_.erase(deflaters_.begin());
  deflaters_.push_back(std::move(made));
  return *deflaters_.back();
}

}  // namespace tern::deflate
