// SHA-1 through libcrypto's EVP interface.
//
// EVP_sha1() names an algorithm whose implementation libcrypto looks up anew at every digest, under
// locks; that costs more than the digest of the 60 octets of a handshake. So the implementation is
// fetched once, at the first digest, and kept until the process ends: freeing it in a static
// destructor would only race with libcrypto's own.

#include "crypto/digest.h"

#include <openssl/evp.h>

namespace tern::crypto {

std::optional<Sha1> sha1(std::span<const std::byte> data) noexcept {
  static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  // Had the fetch failed for want of memory, this would look it up again each time.
  const EVP_MD* const algorithm = fetched != nullptr ? fetched : EVP_sha1();
  Sha1 digest;
  unsigned size = 0;
  const int done =
      EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                 algorithm, nullptr);
  if (done != 1 || size != digest.size()) return std::nullopt;
  return digest;
}

}  // namespace tern::crypto
