// Computes SHA-1 with libcrypto's EVP interface. The implementation is fetched once, at the first
// digest. With EVP_sha1(), libcrypto would look the implementation up at every digest, under locks;
// that costs more than the digest of a handshake's 60 bytes. The implementation is never freed,
// because a static destructor would race with those of libcrypto.

#include "crypto/digest.h"

#include <openssl/evp.h>

namespace tern::crypto {

std::optional<Sha1> sha1(std::span<const std::byte> data) noexcept {
  static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  // If the fetch failed, for example because memory ran out, each digest does a look-up.
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
