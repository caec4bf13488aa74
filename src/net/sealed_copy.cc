// A memfd whose seals forbid every change. So the kernel may send its pages later without a copy,
// and the peer receives the bytes that were written here.
#include "net/sealed_copy.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace tern::net {

Fd sealed_copy(std::span<const std::byte> bytes) noexcept {
  Fd made(::memfd_create("tern", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  for (off_t at = 0; made && !bytes.empty();) {
    const ssize_t put = ::pwrite(made.get(), bytes.data(), bytes.size(), at);
    if (put > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(put));
      at += put;
    } else if (put == 0 || errno != EINTR) {
      return {};
    }
  }
  constexpr int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (!made || ::fcntl(made.get(), F_ADD_SEALS, seals) != 0) return {};
  return made;
}

}  // namespace tern::net
