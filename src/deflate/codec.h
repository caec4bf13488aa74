// Raw deflate, message by message (RFC 7692 §7.2). All of zlib is behind these three classes.
#pragma once

#include "tern/options.h"

#include "base/chunk_pool.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

struct z_stream_s;

namespace tern::deflate {

/// Peer's bytes to messages. Holds 7 KiB, and a window once it has inflated something.
class Inflater {
 public:
  /// What inflate() did. Corrupt: what was produced before that stands.
  struct Step {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    bool corrupt = false;
  };

  /// Takes what was compressed with a window of at most 2^window_bits bytes. What refers further
  /// back is corrupt or is not, depending on how it is cut: zlib's output is a window, too. It
  /// never refers to anything but bytes of this stream. Throws std::bad_alloc.
  explicit Inflater(int window_bits);
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater();

  /// Inflates from `in` to `out`, which is not empty, until one of them is used up.
  /// Throws std::bad_alloc.
  Step inflate(std::span<const std::byte> in, std::span<std::byte> out);
  /// The same behind the last byte of a message: inflates the four bytes that its sender has left
  /// out (§7.2.2). Call it until it fills `out` no more; then the message is whole or corrupt.
  Step finish(std::span<std::byte> out);
  /// Forgets all, also what later messages could refer to.
  void reset() noexcept;

 private:
  Step step(std::span<const std::byte> in, std::span<std::byte> out);

  std::unique_ptr<z_stream_s> stream_;
  int window_bits_;
  std::uint8_t tail_ = 0;     // bytes of the tail that were inflated
  bool after_final_ = false;  // a final block ended the stream, and nothing came behind it
};

/// How a Deflater compresses.
struct DeflateParameters {
  int level;
  int window_bits;
  int memory_level;
  bool operator==(const DeflateParameters&) const = default;
};

/// Messages to bytes for the peer.
class Deflater {
 public:
  /// Within the bounds that usable() gives. Throws std::bad_alloc.
  explicit Deflater(const DeflateParameters& parameters);
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  ~Deflater();

  const DeflateParameters& parameters() const noexcept { return parameters_; }
  /// Compresses a message of at least 1 byte to the beginning of `out`, which is replaced, and
  /// returns its size. Without `takeover` it refers to no other message, and 0 is returned when it
  /// would not become smaller. With `takeover` it refers to what was compressed before, and the
  /// caller must send it: it may be larger than the message, by 5 bytes for each block.
  /// Throws std::bad_alloc, and has then forgotten all.
  std::size_t compress(std::span<const std::byte> message, bool takeover, base::ChunkPool& pool,
                       base::ChunkRef& out);

 private:
  std::size_t run(std::span<const std::byte> message, std::size_t most, base::ChunkPool& pool,
                  base::ChunkRef& out);

  std::unique_ptr<z_stream_s> stream_;
  DeflateParameters parameters_;
};

/// The contexts that the engines of one thread share: whoever has no takeover needs one only while
/// a message is on its way. Lifetime: longer than what it lends.
class Contexts {
 public:
  Contexts() = default;
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;

  /// One without a past, for any window. Throws std::bad_alloc.
  std::unique_ptr<Inflater> take_inflater();
  void give_back(std::unique_ptr<Inflater> inflater) noexcept;
  /// Throws std::bad_alloc. Lifetime: until the next call.
  Deflater& deflater(const DeflateParameters& parameters);

 private:
  static constexpr std::size_t max_inflaters = 16;  // kept; the rest goes back to the heap
  static constexpr std::size_t max_deflaters = 4;

  std::vector<std::unique_ptr<Inflater>> inflaters_{};
  std::vector<std::unique_ptr<Deflater>> deflaters_{};  // the one used last comes last
};

}  // namespace tern::deflate
