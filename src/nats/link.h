#pragma once

#include "tern/error.h"
#include "tern/nats.h"

#include "bridge/link.h"
#include "nats/attempt.h"
#include "nats/server_url.h"
#include "nats/session.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <nats/nats.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// A connection to NATS by libnats, for bridge::Driver.
//
// Without TLS, this thread reads and writes the socket itself (natsOptions_SetEventLoop). So no
// call waits for the broker, and a batch of publications leaves at once: libnats' own thread would
// wait a millisecond before each write. With TLS libnats would wait in the middle of a record, so
// its own threads read, and each publication is written at once.
//
// In both cases a thread of libnats delivers the messages. libnats never connects again by itself:
// while it does, it holds the lock that a publication needs.

namespace tern::nats {

class Link final : public bridge::Link {
 public:
  /// Throws std::bad_alloc.
  explicit Link(Options options);
  ~Link() override;

  std::string problem() const override;
  std::size_t servers() const noexcept override { return servers_.size(); }
  std::string server_name(std::size_t server) const override;
  Result<void> connect(std::size_t server, bridge::LinkEvents& events) override;
  Result<void> subscribe(std::span<const std::string_view> topics) override;
  Result<void> unsubscribe(std::span<const std::string_view> topics) override;
  Result<void> publish(std::string_view topic, const SharedMessage& message,
                       const Origin& origin) override;
  Result<void> flush() override;
  Result<void> ping() override;
  Result<void> probe() override;
  Result<void> poll(int wake, std::chrono::milliseconds timeout) override;
  void close() noexcept override;
  void interrupt() noexcept override;

  const Options& options() const noexcept { return options_; }
  /// Each publication tells its origin, because its echo is dropped. Before the first connect().
  void always_tell_origin() noexcept { always_tell_origin_ = true; }

 private:
  Result<void> probe_with(std::string_view payload);
  bool has_header(const SharedMessage& message, const Origin& origin) const noexcept;
  natsStatus publish_with_header(const Message& message, const Origin& origin);
  Result<void> judge_publication(natsStatus status, std::string_view topic,
                                 const SharedMessage& message);
  void learn_servers();
  void read_socket();
  void end_sending() noexcept;
  void write_socket();
  void keep_pace();
  std::size_t unwritten() const noexcept;
  Result<void> check_connection() const;

  const Options options_;
  std::vector<ServerUrl> servers_;  // those of the options, then those that a server named
  bool always_tell_origin_ = false;
  Attempts attempts_{};
  std::atomic<bool> interrupted_{false};  // since the last close()

  std::shared_ptr<Session> session_{};
  std::shared_ptr<natsOptions> native_options_{};  // of the last connection
  ConnectionPtr connection_{};                     // null: not connected
  bool evented_ = false;                           // this thread reads and writes the socket
  bool headers_are_known_ = true;                  // by the server
  std::map<std::string, natsSubscription*, std::less<>> subscriptions_{};
  natsSubscription* probes_ = nullptr;
  std::string probe_subject_{};
  std::string subject_{};          // of the publication in hand
  std::size_t written_bytes_ = 0;  // since the socket was written
  struct DestroyStatistics {
    void operator()(natsStatistics* statistics) const noexcept {
      natsStatistics_Destroy(statistics);
    }
  };
  std::unique_ptr<natsStatistics, DestroyStatistics> statistics_{};
  std::uint64_t never_handled_bytes_ = 0;
  std::uint64_t never_handled_ = 0;  // messages that came for a topic that is no longer subscribed
};

}  // namespace tern::nats
