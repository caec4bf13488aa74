// The client must be cheaper than any server, because otherwise the measurement shows the client.
// So requests are masked in advance and lie side by side. One send answers all replies that one
// recv returned. The kernel discards the payload of a large reply (MSG_TRUNC) unless it is in the
// sample; a small one is cheaper to copy than to skip. epoll_wait never sleeps. The time in an
// epoll_wait that found nothing is the idle time.
//
//   a reply   [ header ][ payload                  ]     position_: the place of the next byte
//               always    sampled: compared
//               compared  else: skipped
//
// The reply to each message is learnt in advance (messages.h). If messages differ, connections
// begin with different ones, and each goes through all of them.
//
// The latency is measured only on request. All replies of a connection's turn have the same time,
// and the messages sent in answer have it, too.
#include "throughput/load.h"

#include "throughput/latency.h"
#include "throughput/messages.h"
#include "throughput/progress.h"
#include "throughput/upgrade.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <vector>

namespace tern::bench {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{512} << 10;
constexpr std::size_t skip_from = std::size_t{32} << 10;  // payloads of this size are not copied
constexpr std::uint32_t sample_every = 64;                // replies of one connection
constexpr Seconds patience{5};
constexpr Seconds max_warm_up{5};

/// State that all connections of one load share.
struct Exchange {
  Exchange(const LoadOptions& options, const Target& target)
      : messages(learn_messages(options, target, buffer_bytes)),
        buffer(buffer_bytes),
        check_content(options.check_content),
        depth(options.depth) {
    if (options.latency) latencies.emplace();
  }

  Messages messages;
  std::vector<std::byte> buffer;
  bool check_content;
  std::size_t depth;
  std::uint64_t replies = 0;
  std::optional<Latencies> latencies{};
};

class Peer {
 public:
  /// Its first message is the one with number `first`.
  Peer(Wire wire, Exchange& exchange, std::size_t first)
      : wire_(std::move(wire)),
        exchange_(&exchange),
        sender_(exchange.messages.requests, first),
        sent_(exchange.latencies ? exchange.depth : 0),
        next_(first) {
    reset_on_close(wire_.socket());
  }

  int socket() const noexcept { return wire_.socket(); }

  /// Sends `messages` more messages.
  void ask(std::size_t messages) { ask(messages, now()); }

  /// Reads until the socket is empty, and sends a request for each reply.
  void on_ready() {
    std::size_t replies = 0;
    while (read(replies)) {
    }
    if (replies == 0 && sender_.owed() == 0 && !wire_.has_unsent()) return;
    exchange_->replies += replies;
    const Clock::time_point read_at = now();
    if (exchange_->latencies) {
      for (std::size_t i = 0; i < replies; ++i) exchange_->latencies->add(read_at - sent_.pop());
    }
    ask(replies, read_at);
  }

 private:
  // Empty if the latency is not measured.
  Clock::time_point now() const noexcept {
    return exchange_->latencies ? Clock::now() : Clock::time_point{};
  }

  void ask(std::size_t messages, Clock::time_point at) {
    const FrameTrain& requests = exchange_->messages.requests;
    sender_.owe(messages, requests);
    if (!sender_.send(wire_, requests)) throw_errno("send");
    if (exchange_->latencies) sent_.push(at, sender_.take_begun(requests));
  }

  const Reply& expected() const noexcept { return exchange_->messages.replies[next_]; }
  std::size_t missing() const noexcept { return expected().bytes.size() - position_; }

  // False when the socket is empty.
  bool read(std::size_t& replies) {
    std::byte* into = exchange_->buffer.data();
    std::size_t most = exchange_->buffer.size();
    int flags = 0;
    if (expected().bytes.size() >= skip_from && !wire_.is_tls() && !sampled()) {
      const bool header = position_ < expected().header_bytes;
      most = header ? expected().header_bytes - position_ : missing();
      if (!header) {
        into = nullptr;
        flags = MSG_TRUNC;
      }
    }
    const ssize_t got = wire_.receive(into, most, flags);
    if (got == 0) throw std::runtime_error("the server closed a connection");
    if (got < 0) {
      if (errno == EAGAIN) return false;
      throw_errno("recv");
    }
    const auto size = static_cast<std::size_t>(got);
    if (into == nullptr) {
      advance(size, replies);
    } else {
      check({into, size}, replies);
    }
    return !wire_.was_emptied(size, most);
  }

  void check(std::span<const std::byte> bytes, std::size_t& replies) {
    while (!bytes.empty()) {
      const Reply& reply = expected();
      const std::size_t size = std::min(bytes.size(), missing());
      const std::size_t header =
          position_ < reply.header_bytes ? reply.header_bytes - position_ : 0;
      const std::size_t compared = sampled() ? size : std::min(size, header);
      if (std::memcmp(bytes.data(), reply.bytes.data() + position_, compared) != 0) {
        throw std::runtime_error(header > 0
                                     ? "the header or content of a reply is not that of the echo"
                                     : "a reply's content is not what was sent");
      }
      bytes = bytes.subspan(size);
      advance(size, replies);
    }
  }

  void advance(std::size_t size, std::size_t& replies) noexcept {
    position_ += size;
    if (position_ < expected().bytes.size()) return;
    position_ = 0;
    if (++next_ == exchange_->messages.replies.size()) next_ = 0;
    ++replies;
    until_sample_ = until_sample_ == 0 ? sample_every - 1 : until_sample_ - 1;
  }

  bool sampled() const noexcept { return exchange_->check_content && until_sample_ == 0; }

  Wire wire_;
  Exchange* exchange_;
  TrainSender sender_;
  SendTimes sent_;
  std::size_t next_;  // the message of the next reply
  std::size_t position_ = 0;
  std::uint32_t until_sample_ = 0;  // the first reply is in the sample
};

/// The counters at one moment. A result is the difference of two.
struct Snapshot {
  Clock::time_point at{};
  std::uint64_t replies = 0;
  Clock::duration idle{};
  std::chrono::nanoseconds server_cpu{};
};

class Load {
 public:
  Load(const LoadOptions& options, const Target& target)
      : options_(options), progress_(options.progress), exchange_(options, target) {
    if (!epoll_) throw_errno("epoll_create1");
    peers_.reserve(options.connections);
    for (std::size_t i = 0; i < options.connections; ++i) {
      Peer& peer = peers_.emplace_back(connect_and_upgrade(target, source_of(i)), exchange_,
                                       i % exchange_.messages.replies.size());
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLET;
      event.data.ptr = &peer;
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, peer.socket(), &event) != 0) {
        throw_errno("epoll_ctl");
      }
      if (i % 256 == 0) progress_.show("connecting: " + std::to_string(i));
    }
  }

  LoadResult run() {
    warm_up();
    if (exchange_.latencies) exchange_.latencies->clear();
    const Snapshot begin = snapshot();
    measure();
    // On a machine with other work a short visit may receive no reply, so only a long silence is an
    // error.
    while (exchange_.replies == begin.replies) run_until(last_ + std::chrono::milliseconds(10));
    const Snapshot end = snapshot();

    LoadResult result;
    result.seconds = Seconds(end.at - begin.at).count();
    result.messages = end.replies - begin.replies;
    result.client_busy = 1 - Seconds(end.idle - begin.idle).count() / result.seconds;
    result.server_busy = Seconds(end.server_cpu - begin.server_cpu).count() / result.seconds;
    result.reply_bytes = exchange_.messages.mean_wire_bytes();
    if (exchange_.latencies) result.latency = exchange_.latencies->summary();
    return result;
  }

 private:
  // During the first messages buffers grow and pages are used for the first time.
  void warm_up() {
    for (Peer& peer : peers_) peer.ask(options_.depth);
    const Clock::time_point began = last_ = last_reply_ = Clock::now();
    run_until(began + std::chrono::duration_cast<Clock::duration>(options_.warm_up));
    while (exchange_.replies < peers_.size() * options_.depth && last_ - began < max_warm_up) {
      run_until(last_ + std::chrono::milliseconds(10));
    }
  }

  // Runs in steps, so that the terminal shows the progress.
  void measure() {
    const Clock::time_point began = last_;
    const auto end = began + std::chrono::duration_cast<Clock::duration>(options_.duration);
    while (last_ < end) {
      run_until(std::min(end, last_ + progress_every));
      progress_.show(progress_text(last_ - began, options_.duration, exchange_.replies, "replies"));
    }
  }

  void run_until(Clock::time_point end) {
    std::array<epoll_event, 256> events;
    while (last_ < end) {
      const int ready =
          ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
      if (ready < 0 && errno != EINTR) throw_errno("epoll_wait");
      for (int i = 0; i < ready; ++i) {
        static_cast<Peer*>(events[static_cast<std::size_t>(i)].data.ptr)->on_ready();
      }
      const Clock::time_point now = Clock::now();
      if (ready > 0) {
        last_reply_ = now;
      } else {
        idle_ += now - last_;
        if (now - last_reply_ > patience) throw std::runtime_error("no reply for five seconds");
      }
      last_ = now;
    }
  }

  Snapshot snapshot() const {
    return {.at = last_,
            .replies = exchange_.replies,
            .idle = idle_,
            .server_cpu =
                options_.server != 0 ? cpu_time(options_.server) : std::chrono::nanoseconds{}};
  }

  const LoadOptions& options_;
  Progress progress_;
  Exchange exchange_;
  net::Fd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::vector<Peer> peers_{};
  Clock::time_point last_{};
  Clock::time_point last_reply_{};
  Clock::duration idle_{};
};

}  // namespace

LoadResult run_load(const LoadOptions& options) {
  return Load(options, Target::parse(options.url, options.deflate)).run();
}

}  // namespace tern::bench
