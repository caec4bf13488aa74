// Randomness for masking keys, which a client needs for every frame: RFC 6455 10.3 wants them
// unpredictable, from a strong source, and attackers with a hand on both ends profit if they are
// not.
//
// libcrypto's generator is good but slow for four octets (locks, a system call to see whether the
// process forked), so it is asked for a page at a time. A buffer of randomness must not survive
// fork(): parent and child would use the same keys. The page is therefore mapped with
// MADV_WIPEONFORK: the child finds it filled with zeros, among them the count of octets left, and
// has an empty block. This needs neither a hook nor a look at the process id, and also holds for
// children made by a bare clone(). (libcrypto sees the fork by itself and reseeds.) A kernel that
// cannot do this (before 4.14), or lack of memory, means no block, and every draw asks libcrypto.
//
// Octets are taken from the end and wiped as they are taken, so that memory read later does not
// tell keys used before.

#include "crypto/random.h"

#include "tern/error.h"

#include <limits>
#include <new>
#include <openssl/rand.h>
#include <sys/mman.h>

namespace tern::crypto {

namespace {

bool ask_source(std::byte* to, std::size_t size) noexcept {
  constexpr std::size_t most = std::numeric_limits<int>::max();
  while (size != 0) {
    const std::size_t piece = size < most ? size : most;
    if (RAND_bytes(reinterpret_cast<unsigned char*>(to), static_cast<int>(piece)) != 1)
      return false;
    to += piece;
    size -= piece;
  }
  return true;
}

}  // namespace

Random::Random() noexcept {
  static_assert(sizeof(Block) == block_bytes);
  void* const page =
      ::mmap(nullptr, block_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  block_.reset(new (page) Block);
  block_->left = 0;
  if (::madvise(page, block_bytes, MADV_WIPEONFORK) != 0) block_.reset();
}

void Random::Unmap::operator()(Block* block) const noexcept {
  ::explicit_bzero(block, block_bytes);
  ::munmap(block, block_bytes);
}

bool Random::refill() noexcept {
  block_->left = 0;  // whatever the source has written before it fails is not used
  if (!ask_source(block_->octets, sizeof block_->octets)) return false;
  block_->left = sizeof block_->octets;
  return true;
}

std::optional<std::uint32_t> Random::draw_key_slowly() noexcept {
  std::uint32_t key = 0;
  if (fill(std::as_writable_bytes(std::span(&key, 1)))) return std::nullopt;
  return key;
}

std::error_code Random::fill(std::span<std::byte> to) noexcept {
  // What is large would only pass through the block.
  if (!block_ || to.size() > sizeof block_->octets / 4)
    return ask_source(to.data(), to.size()) ? std::error_code() : Errc::random_unavailable;
  if (block_->left < to.size() && !refill()) return Errc::random_unavailable;
  take(to.data(), to.size());
  return {};
}

}  // namespace tern::crypto
