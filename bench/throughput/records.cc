// Reads the secrets of the handshake by OpenSSL's key log, and derives the keys of the records.
#include "throughput/records.h"

#include "throughput/system.h"

#include <algorithm>
#include <cerrno>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/types.h>
#include <utility>

namespace tern::bench {
namespace {

constexpr std::size_t tag_bytes = 16;
constexpr std::size_t max_plaintext = 16'384;
constexpr std::size_t input_bytes = std::size_t{256} << 10;
constexpr std::byte application_data{23};
constexpr std::byte handshake{22};  // after its end: tickets

unsigned char* bytes_of(std::byte* bytes) noexcept {
  return reinterpret_cast<unsigned char*>(bytes);
}
const unsigned char* bytes_of(const std::byte* bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes);
}

// HKDF-Expand-Label with an empty context, RFC 8446 §7.1.
void expand(std::span<const unsigned char> secret, std::string_view label,
            std::span<unsigned char> out) {
  std::string info{'\0', static_cast<char>(out.size())};
  info += static_cast<char>(label.size() + 6);
  info.append("tls13 ").append(label).append(1, '\0');
  const std::unique_ptr<EVP_KDF, decltype(&::EVP_KDF_free)> kdf(
      ::EVP_KDF_fetch(nullptr, "HKDF", nullptr), &::EVP_KDF_free);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&::EVP_KDF_CTX_free)> context(
      ::EVP_KDF_CTX_new(kdf.get()), &::EVP_KDF_CTX_free);
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  std::string digest = "SHA256";
  const std::array<OSSL_PARAM, 5> parameters{
      ::OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      ::OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      ::OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
                                          const_cast<unsigned char*>(secret.data()), secret.size()),
      ::OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      ::OSSL_PARAM_construct_end()};
  if (::EVP_KDF_derive(context.get(), out.data(), out.size(), parameters.data()) != 1) {
    throw std::runtime_error("OpenSSL failed to derive a key");
  }
}

struct Secrets {
  std::vector<unsigned char> client{};
  std::vector<unsigned char> server{};
};

std::vector<unsigned char> from_hex(std::string_view text) {
  std::vector<unsigned char> bytes;
  for (; text.size() >= 2; text.remove_prefix(2)) {
    bytes.push_back(
        static_cast<unsigned char>(std::stoi(std::string(text.substr(0, 2)), nullptr, 16)));
  }
  return bytes;
}

// "SERVER_TRAFFIC_SECRET_0 <client random> <secret>"
void on_key_log(const SSL* ssl, const char* text) {
  auto* const secrets = static_cast<Secrets*>(SSL_get_app_data(ssl));
  if (secrets == nullptr) return;  // not a connection of shake_hands()
  const std::string_view line = text;
  const std::string_view secret = line.substr(line.rfind(' ') + 1);
  if (line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) secrets->client = from_hex(secret);
  if (line.starts_with("SERVER_TRAFFIC_SECRET_0 ")) secrets->server = from_hex(secret);
}

void send_all(int socket, BIO* out) {
  char* waiting = nullptr;
  const long size = BIO_get_mem_data(out, &waiting);
  if (size > 0 && ::send(socket, waiting, static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) {
    throw_errno("TLS handshake");
  }
  static_cast<void>(BIO_reset(out));
}

}  // namespace

void RecordKey::Free::operator()(evp_cipher_ctx_st* context) const noexcept {
  ::EVP_CIPHER_CTX_free(context);
}

RecordKey::RecordKey(std::span<const unsigned char> secret, bool seals)
    : context_(::EVP_CIPHER_CTX_new()) {
  std::array<unsigned char, 16> key;
  expand(secret, "key", key);
  expand(secret, "iv", iv_);
  if (::EVP_CipherInit_ex(context_.get(), ::EVP_aes_128_gcm(), nullptr, key.data(), nullptr,
                          seals ? 1 : 0) != 1) {
    throw std::runtime_error("OpenSSL has no AES-128-GCM");
  }
}

std::array<unsigned char, 12> RecordKey::next_nonce() noexcept {
  std::array<unsigned char, 12> nonce = iv_;
  for (std::size_t i = 0; i < 8; ++i) {
    nonce[11 - i] = static_cast<unsigned char>(nonce[11 - i] ^ (sequence_ >> (8 * i) & 0xFF));
  }
  ++sequence_;
  return nonce;
}

void RecordKey::seal(std::span<const std::byte> plaintext, std::vector<std::byte>& out) {
  EVP_CIPHER_CTX* const context = context_.get();
  while (!plaintext.empty()) {
    const auto piece = plaintext.first(std::min(plaintext.size(), max_plaintext));
    plaintext = plaintext.subspan(piece.size());
    const std::size_t length = piece.size() + 1 + tag_bytes;
    const std::size_t at = out.size();
    out.resize(at + record_header_bytes + length);
    std::byte* const record = out.data() + at;
    record[0] = application_data;
    record[1] = record[2] = std::byte{3};
    record[3] = static_cast<std::byte>(length >> 8);
    record[4] = static_cast<std::byte>(length & 0xFF);
    const auto nonce = next_nonce();
    const std::byte type = application_data;
    std::byte* const body = record + record_header_bytes;
    int size = 0;
    ::EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data());
    ::EVP_EncryptUpdate(context, nullptr, &size, bytes_of(record), record_header_bytes);
    ::EVP_EncryptUpdate(context, bytes_of(body), &size, bytes_of(piece.data()),
                        static_cast<int>(piece.size()));
    ::EVP_EncryptUpdate(context, bytes_of(body + piece.size()), &size, bytes_of(&type), 1);
    ::EVP_EncryptFinal_ex(context, nullptr, &size);
    ::EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag_bytes, body + piece.size() + 1);
  }
}

std::size_t RecordKey::open(std::span<const std::byte> record, std::byte* out) {
  EVP_CIPHER_CTX* const context = context_.get();
  const auto body = record.subspan(record_header_bytes);
  if (record[0] != application_data || body.size() <= tag_bytes) {
    throw std::runtime_error("a record is not of TLS 1.3");
  }
  const std::size_t length = body.size() - tag_bytes;
  const auto nonce = next_nonce();
  int size = 0;
  ::EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data());
  ::EVP_DecryptUpdate(context, nullptr, &size, bytes_of(record.data()), record_header_bytes);
  ::EVP_DecryptUpdate(context, bytes_of(out), &size, bytes_of(body.data()),
                      static_cast<int>(length));
  ::EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag_bytes,
                        const_cast<std::byte*>(body.data() + length));
  if (::EVP_DecryptFinal_ex(context, nullptr, &size) != 1) {
    throw std::runtime_error("a record is not authentic");
  }
  if (out[length - 1] == application_data) return length - 1;
  if (out[length - 1] != handshake || out[0] != std::byte{4}) {
    throw std::runtime_error("the server ended TLS, used padding or changed its key");
  }
  return 0;
}

std::size_t record_bytes(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < record_header_bytes) return 0;
  return record_header_bytes + (static_cast<std::size_t>(bytes[3]) << 8) +
         static_cast<std::size_t>(bytes[4]);
}

ClientTls::ClientTls()
    : context(::SSL_CTX_new(::TLS_client_method()), ::SSL_CTX_free), in(input_bytes) {
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      ::SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256") != 1) {
    throw std::runtime_error("OpenSSL has no TLS 1.3 with AES-128-GCM");
  }
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  ::SSL_CTX_set_keylog_callback(context.get(), on_key_log);
}

// Most servers send their tickets after our Finished. Go sends them in its first flight.
Shaken shake_hands(int socket, ClientTls& tls) {
  const std::unique_ptr<SSL, decltype(&::SSL_free)> ssl(::SSL_new(tls.context.get()), &::SSL_free);
  BIO* const in = ::BIO_new(::BIO_s_mem());
  BIO* const out = ::BIO_new(::BIO_s_mem());
  ::SSL_set_bio(ssl.get(), in, out);
  Secrets secrets;
  SSL_set_app_data(ssl.get(), &secrets);
  for (;;) {
    const int done = ::SSL_connect(ssl.get());
    send_all(socket, out);
    if (done == 1) break;
    if (::SSL_get_error(ssl.get(), done) != SSL_ERROR_WANT_READ) {
      throw std::runtime_error("the TLS handshake failed");
    }
    const ssize_t got = ::recv(socket, tls.in.data(), tls.in.size(), 0);
    if (got < 0) throw_errno("TLS handshake");
    if (got == 0) throw std::runtime_error("the server closed during the TLS handshake");
    ::BIO_write(in, tls.in.data(), static_cast<int>(got));
  }
  if (secrets.client.empty() || secrets.server.empty()) {
    throw std::runtime_error("the TLS handshake is not as expected");
  }
  std::vector<std::byte> ahead(static_cast<std::size_t>(BIO_pending(in)));
  if (!ahead.empty()) ::BIO_read(in, ahead.data(), static_cast<int>(ahead.size()));
  return {.keys = {RecordKey(secrets.server, false), RecordKey(secrets.client, true)},
          .ahead = std::move(ahead)};
}

}  // namespace tern::bench
