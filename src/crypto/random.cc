// Draws random bytes for masking keys, one page at a time, from libcrypto's generator. A client
// needs a key for every frame, and RFC 6455 §10.3 requires that keys are unpredictable and come
// from a strong source; otherwise an attacker who controls both ends could choose the bytes on the
// wire.
//
// A page at a time, because the generator is slow for four bytes: it takes locks and makes a system
// call to detect a fork. But the buffer must not survive fork(), because parent and child would use
// the same keys. So the page is mapped with MADV_WIPEONFORK: in the child all its bytes are zero,
// and so is the count of unused bytes, so the child's block is empty. This needs no hook and no
// check of the process id, and it also works after a bare clone(). libcrypto detects the fork
// itself and reseeds. If the kernel lacks this flag (before 4.14), or if there is no memory, there
// is no block and every draw calls libcrypto.
//
// Bytes are taken from the end of the block and are wiped at once, so that a later read of this
// memory does not reveal used keys.

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
  block_->left = 0;  // if the source fails half-way, its bytes are not used
  if (!ask_source(block_->bytes, sizeof block_->bytes)) return false;
  block_->left = sizeof block_->bytes;
  return true;
}

std::optional<std::uint32_t> Random::draw_key_slowly() noexcept {
  std::uint32_t key = 0;
  if (fill(std::as_writable_bytes(std::span(&key, 1)))) return std::nullopt;
  return key;
}

std::error_code Random::fill(std::span<std::byte> to) noexcept {
  // A large request goes to the source directly, because it would only be copied through the block.
  if (!block_ || to.size() > sizeof block_->bytes / 4)
    return ask_source(to.data(), to.size()) ? std::error_code() : Errc::random_unavailable;
  if (block_->left < to.size() && !refill()) return Errc::random_unavailable;
  take(to.data(), to.size());
  return {};
}

}  // namespace tern::crypto
