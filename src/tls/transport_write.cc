// The writing half of TlsTransport: it enciphers the caller's bytes and sends the ciphertext to the
// transport below.
//
// Bytes that SSL_write has taken count as written, even if a part of their records is still in
// `unsent_`. The transport takes no more bytes until that part is sent. If these bytes were all
// that the caller had to write, the last byte does not count before that: otherwise the caller
// would wait for nothing, and would not notice a peer that stalls.
#include "tern/error.h"

#include "tls/transport.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

namespace tern::tls {
namespace {

// The transport gathers this much ciphertext before it sends. The last record may exceed it.
constexpr std::size_t output_target = std::size_t{112} << 10;
constexpr std::size_t kept_output = std::size_t{160} << 10;
// The plaintext that one call enciphers. Without this limit, other connections would wait for a
// peer that reads as fast as tern enciphers.
constexpr std::size_t max_written = std::size_t{1} << 20;

}  // namespace

// ---- what OpenSSL writes

int TlsTransport::on_bio_write(BIO* bio, const char* from, std::size_t size,
                               std::size_t* put) noexcept {
  auto& self = *static_cast<TlsTransport*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(from, size));
  try {
    std::vector<std::byte>& output = self.scratch_->output();
    output.insert(output.end(), bytes.begin(), bytes.end());
  } catch (const std::bad_alloc&) {
    return 0;
  }
  *put = size;
  return 1;
}

// ---- what the caller writes

net::Transport::Transfer TlsTransport::write(std::span<const iovec> from) noexcept {
  if (phase_ == Phase::failed) return {.error = error_, .state = State::failed};
  if (has_unsent()) {
    if (const Transfer flushed = flush(); flushed.state != State::ok) return flushed;
  }
  if (write_error_) return {.error = write_error_, .state = State::failed};
  const std::size_t owed = std::exchange(owed_, 0);
  begin_call();
  Step step = shake_hands();
  std::size_t put = owed + (step == Step::done ? write_some(from, owed, step) : 0);
  end_call();
  if (write_error_) return {.error = write_error_, .state = State::failed};
  if (put > 0) {
    std::size_t offered = 0;
    for (const iovec& piece : from) offered += piece.iov_len;
    // If the last piece has one byte, the caller would see it as untouched and might not offer it
    // again.
    if (!unsent_.empty() && put == offered && from.back().iov_len > 1) put -= owed_ = 1;
    return {.bytes = put};
  }
  if (phase_ == Phase::failed) return {.error = error_, .state = State::failed};
  return {.state = unsent_.empty() ? State::wait_read : State::wait_write};
}

// Enciphers pieces as long as the system takes the ciphertext. Small pieces are joined, because a
// record costs at least 22 bytes and work for the peer. `skip` bytes of the first piece are already
// taken.
std::size_t TlsTransport::write_some(std::span<const iovec> from, std::size_t skip,
                                     Step& step) noexcept {
  const std::span<std::byte> record = scratch_->record();
  if (record.empty()) {
    fail(Errc::no_memory);
    return 0;
  }
  std::size_t total = 0;
  while (!from.empty() && total < max_written) {
    const std::byte* start = static_cast<const std::byte*>(from.front().iov_base) + skip;
    std::size_t size = std::min(from.front().iov_len - skip, record.size());
    const bool whole = size == record.size() || from.size() == 1;
    if (!whole) {
      std::size_t within = skip;
      size = 0;
      for (const iovec& piece : from) {
        const std::size_t part = std::min(piece.iov_len - within, record.size() - size);
        std::memcpy(record.data() + size, static_cast<const std::byte*>(piece.iov_base) + within,
                    part);
        size += part;
        within = 0;
        if (size == record.size()) break;
      }
      start = record.data();
    }
    std::size_t put = 0;
    if (size > 0) step = run([&] { return SSL_write_ex(ssl_.get(), start, size, &put); });
    if (step != Step::done) return total;
    total += put;
    for (skip += put; !from.empty() && skip >= from.front().iov_len; from = from.subspan(1)) {
      skip -= from.front().iov_len;
    }
    if (scratch_->output().size() < output_target) continue;
    send_output();
    if (!unsent_.empty() || write_error_) return total;
  }
  return total;
}

void TlsTransport::send_output() noexcept {
  std::vector<std::byte>& output = scratch_->output();
  std::span<const std::byte> rest = output;
  if (!rest.empty() && !write_error_ && unsent_.empty()) {
    const iovec from{const_cast<std::byte*>(rest.data()), rest.size()};  // it is only read
    const Transfer put = below_->write({&from, 1});
    if (put.state == State::failed) write_error_ = put.error;
    rest = rest.subspan(put.bytes);
  }
  if (!write_error_ && !unsent_.append(rest)) {
    write_error_ = make_error_code(Errc::no_memory);
  }
  output.clear();
  if (output.capacity() > kept_output) output.shrink_to_fit();
}

net::Transport::Transfer TlsTransport::flush() noexcept {
  while (!unsent_.empty() && !write_error_) {
    const std::span<const std::byte> rest = unsent_.bytes();
    const iovec from{const_cast<std::byte*>(rest.data()), rest.size()};
    const Transfer put = below_->write({&from, 1});
    if (put.state == State::wait_write || put.state == State::wait_read) return put;
    if (put.state == State::failed) write_error_ = put.error;
    unsent_.consume(put.bytes);
  }
  if (write_error_) {
    unsent_.clear();
    return {.error = write_error_, .state = State::failed};
  }
  on_unsent_gone();
  return below_->has_unsent() ? below_->flush() : Transfer{};
}

PeerProgress TlsTransport::delivery() const noexcept {
  PeerProgress delivery = below_->delivery();
  delivery.waiting += static_cast<std::uint32_t>(unsent_.size());
  return delivery;
}

}  // namespace tern::tls
