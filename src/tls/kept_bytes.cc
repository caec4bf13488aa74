// A block is replaced, not grown, because it is rare that bytes are added to others.
#include "tls/kept_bytes.h"

#include <cstring>
#include <new>

namespace tern::tls {

void KeptBytes::consume(std::size_t bytes) noexcept {
  at_ += static_cast<std::uint32_t>(bytes);
  if (empty()) clear();
}

void KeptBytes::clear() noexcept {
  bytes_.reset();
  at_ = size_ = 0;
}

bool KeptBytes::append(std::span<const std::byte> more) noexcept {
  if (more.empty()) return true;
  std::unique_ptr<std::byte[]> all(new (std::nothrow) std::byte[size() + more.size()]);
  if (all == nullptr) return false;
  if (!empty()) std::memcpy(all.get(), bytes().data(), size());
  std::memcpy(all.get() + size(), more.data(), more.size());
  size_ = static_cast<std::uint32_t>(size() + more.size());
  at_ = 0;
  bytes_ = std::move(all);
  return true;
}

}  // namespace tern::tls
