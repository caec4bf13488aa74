// A socket of our own below the parser of hiredis. Every wait has an end and looks at the request
// to stop.
#include "redis/wire.h"

#include "net/resolver.h"
#include "net/socket.h"
#include "net/unix_socket.h"
#include "redis/command.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <poll.h>
#include <utility>

namespace tern::redis {
namespace {

// The reader moves what follows an answer to the front of its buffer, so a larger one costs more.
constexpr std::size_t read_bytes = std::size_t{16} << 10;
constexpr std::chrono::milliseconds look_interval{50};  // at the request to stop

// hiredis makes room for all elements as soon as it knows their number. No answer of a server that
// works has so many.
constexpr std::uint64_t max_elements = std::uint64_t{1} << 20;

// The type of `elements` depends on the version of hiredis. It is not negative.
template <class Count>
void* make_array(const redisReadTask* task, Count elements) {
  if (static_cast<std::uint64_t>(elements) > max_elements) return nullptr;
  return static_cast<const redisReplyObjectFunctions*>(task->privdata)->createArray(task, elements);
}

Result<net::Fd> connect_tcp(const Address& address, const Patience& patience) {
  const auto found = net::resolve(address.host, address.port, patience.deadline, patience.stop);
  if (!found) return found.error();
  Error last(Errc::name_not_resolved);
  for (const net::Address& each : *found) {
    net::Opened opened = net::start_connect(each);
    std::error_code error = opened.error;
    if (!error) {
      const WaitFor writable[] = {{opened.fd.get(), true}};
      if (auto waited = wait(writable, patience); !waited) return waited.error();
      error = net::connect_result(opened.fd.get());
    }
    if (!error) {
      static_cast<void>(net::set_nodelay(opened.fd.get()));
      return std::move(opened.fd);
    }
    last = Error(error);
  }
  return last;
}

}  // namespace

Result<void> wait(std::span<const WaitFor> descriptors, const Patience& patience) {
  std::array<pollfd, 4> polled{};
  const std::size_t count = std::min(descriptors.size(), polled.size());
  for (std::size_t i = 0; i < count; ++i) {
    polled[i].fd = descriptors[i].fd;
    polled[i].events = static_cast<short>(descriptors[i].to_write ? POLLIN | POLLOUT : POLLIN);
  }
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(patience.deadline - Clock::now());
    const auto time = std::clamp(left, std::chrono::milliseconds(0), look_interval);
    if (::poll(polled.data(), count, static_cast<int>(time.count())) > 0) return {};
    if (patience.stop.stop_requested()) return Errc::stopped;
    if (left.count() <= 0) return Errc::timed_out;
  }
}

Result<void> Wire::open(const Address& address, const Patience& patience) {
  close();
  net::Fd socket;
  if (address.host.empty()) {
    net::Opened opened = net::connect_unix(address.unix_path);
    if (!opened) return Error(opened.error);
    socket = std::move(opened.fd);
  } else {
    auto connected = connect_tcp(address, patience);
    if (!connected) return connected.error();
    socket = *std::move(connected);
  }
  reader_.reset(redisReaderCreate());
  if (reader_ == nullptr) throw std::bad_alloc();
  makers_.usual = makers_.bounded = *reader_->fn;
  makers_.bounded.createArray = make_array;
  reader_->privdata = &makers_.usual;
  reader_->fn = &makers_.bounded;
  transport_.emplace(std::move(socket));
  return {};
}

void Wire::close() noexcept {
  transport_.reset();
  reader_.reset();
  output_ = std::string();
  sent_ = 0;
}

Result<void> Wire::write() {
  constexpr std::size_t kept = std::size_t{1} << 20;
  while (sent_ < output_.size()) {
    const iovec rest{output_.data() + sent_, output_.size() - sent_};
    const auto transfer = transport_->write({&rest, 1});
    if (transfer.error) return Error(transfer.error);
    if (transfer.state != net::Transport::State::ok) {
      if (sent_ > kept) output_.erase(0, std::exchange(sent_, 0));
      return {};
    }
    sent_ += transfer.bytes;
  }
  output_.clear();
  if (output_.capacity() > kept) output_ = std::string();
  sent_ = 0;
  return {};
}

Result<bool> Wire::read() {
  std::array<char, read_bytes> bytes;
  const iovec into{bytes.data(), bytes.size()};
  const auto transfer = transport_->read({&into, 1});
  if (transfer.error) return Error(transfer.error);
  if (transfer.state == net::Transport::State::end) {
    return Error::described(Errc::end_of_stream, "the server ended the connection");
  }
  if (transfer.bytes == 0) return false;
  if (redisReaderFeed(reader_.get(), bytes.data(), transfer.bytes) != REDIS_OK) {
    return Error::described(Errc::no_memory, reader_->errstr);
  }
  return transfer.bytes == bytes.size();
}

Result<Reply> Wire::next() {
  void* found = nullptr;
  if (redisReaderGetReply(reader_.get(), &found) != REDIS_OK) {
    return Error::described(std::make_error_code(std::errc::protocol_error),
                            std::string("not the protocol of Redis: ").append(reader_->errstr));
  }
  return Reply(static_cast<redisReply*>(found));
}

Result<Reply> Wire::ask(std::initializer_list<std::string_view> words, const Patience& patience) {
  append_command(output_, words);
  for (;;) {
    if (auto written = write(); !written) return written.error();
    const WaitFor ready[] = {{fd(), unsent() > 0}};
    if (auto waited = wait(ready, patience); !waited) return waited.error();
    if (auto more = read(); !more) return more.error();
    auto reply = next();
    if (!reply || *reply != nullptr) return reply;
  }
}

}  // namespace tern::redis
