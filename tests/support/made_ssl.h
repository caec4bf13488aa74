// Finds the SSL object inside a transport. The library does not show it, because only tests need
// it.
#pragma once

#include <openssl/ssl.h>

namespace tern::test {

/// Returns the SSL object that this thread has created last; null if there is none. Lifetime: that
/// of its owner. Thread: any, but call it once before the first object is created.
inline SSL* last_made_ssl() {
  thread_local SSL* last = nullptr;
  // OpenSSL calls this function for each new object.
  static const int index = SSL_get_ex_new_index(
      0, nullptr,
      [](void* made, void*, CRYPTO_EX_DATA*, int, long, void*) { last = static_cast<SSL*>(made); },
      nullptr, nullptr);
  static_cast<void>(index);
  return last;
}

}  // namespace tern::test
