// Raw deflate, one message at a time (RFC 7692 §7.2). Only these three classes use zlib.
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

/// Inflates messages of the peer. Takes 7 KiB, and a window after it has inflated something.
class Inflater {
 public:
  /// The result of inflate(). If it is corrupt, the bytes produced before the fault are valid.
  struct Step {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    bool corrupt = false;
  };

  /// Inflates data that was compressed with a window of at most 2^window_bits bytes. A reference
  /// that goes further back may or may not be reported as corrupt; this depends on how the data is
  /// cut, because the output of zlib is a window, too. A reference never reaches anything but bytes
  /// of this stream. Throws std::bad_alloc.
  explicit Inflater(int window_bits);
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater();

  /// Inflates from `in` to `out` until one of them is used up. `out` must not be empty. Throws
  /// std::bad_alloc.
  Step inflate(std::span<const std::byte> in, std::span<std::byte> out);
  /// Inflates the four bytes that the sender has left out behind the last byte of a message. Call
  /// it until it does not fill `out`; then the message is whole or corrupt. Throws std::bad_alloc.
  /// RFC 7692 §7.2.2.
  Step finish(std::span<std::byte> out);
  /// Forgets everything, also the window that later messages could refer to.
  void reset() noexcept;

 private:
  Step step(std::span<const std::byte> in, std::span<std::byte> out);

  std::unique_ptr<z_stream_s> stream_;
  int window_bits_;
  std::uint8_t tail_ = 0;     // bytes of the four that were inflated
  bool after_final_ = false;  // a final block ended the stream, and no byte came after it
};

/// The parameters of a Deflater.
struct DeflateParameters {
  int level;
  int window_bits;
  int memory_level;
  bool operator==(const DeflateParameters&) const = default;
};

/// Compresses messages for the peer.
class Deflater {
 public:
  /// The parameters must be within the bounds that usable() ensures. Throws std::bad_alloc.
  explicit Deflater(const DeflateParameters& parameters);
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  ~Deflater();

  const DeflateParameters& parameters() const noexcept { return parameters_; }
  /// Compresses a message of at least 1 byte to the beginning of `out`, which is replaced, and
  /// returns the size. Without `takeover` the result refers to no other message; returns 0 if it
  /// would not be smaller than the message. With `takeover` the result refers to messages
  /// compressed before, and the caller must send it. It may be larger than the message, by 5 bytes
  /// for each block. Throws std::bad_alloc; the context is empty then.
  std::size_t compress(std::span<const std::byte> message, bool takeover, base::ChunkPool& pool,
                       base::ChunkRef& out);

 private:
  std::size_t run(std::span<const std::byte> message, std::size_t most, base::ChunkPool& pool,
                  base::ChunkRef& out);

  std::unique_ptr<z_stream_s> stream_;
  DeflateParameters parameters_;
};

/// The contexts that the engines of one thread share. A connection without takeover needs a context
/// only while one message is being compressed or inflated. Lifetime: longer than the contexts that
/// it lends.
class Contexts {
 public:
  Contexts() = default;
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;

  /// Returns an empty inflater for any window. Throws std::bad_alloc.
  std::unique_ptr<Inflater> take_inflater();
  /// Takes an inflater back; null does nothing.
  void give_back(std::unique_ptr<Inflater> inflater) noexcept;
  /// Returns a deflater with these parameters. Lifetime: until the next call. Throws
  /// std::bad_alloc.
  Deflater& deflater(const DeflateParameters& parameters);

 private:
  static constexpr std::size_t max_inflaters = 16;  // kept; others are freed
  static constexpr std::size_t max_deflaters = 4;

  std::vector<std::unique_ptr<Inflater>> inflaters_{};
  std::vector<std::unique_ptr<Deflater>> deflaters_{};  // the deflater used last stands last
};

}  // namespace tern::deflate
