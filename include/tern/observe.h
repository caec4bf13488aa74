// Observes a server from outside: a log sink and counters.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {

/// The importance of a log line.
enum class LogLevel : std::uint8_t { info, warning, error };

/// One line for the log. Lifetime of the views: the call of the LogSink.
struct LogRecord {
  LogLevel level = LogLevel::info;
  std::string_view message{};         ///< what happened, without a line end
  std::string_view remote_address{};  ///< the peer, if it concerns one
};

/// Receives log lines; empty: tern logs nothing. Thread: every worker calls it, so it must be
/// thread-safe.
using LogSink = std::function<void(const LogRecord&)>;

/// The counts of one bridge (Server::bridge).
struct BridgeCounters {
  std::string topics{};            ///< BridgeOptions::topics
  bool up = false;                 ///< now
  std::uint64_t connects = 0;      ///< connections to a broker that succeeded
  std::uint64_t failures = 0;      ///< connections that failed or were lost
  std::uint64_t published = 0;     ///< publications that were given to the broker
  std::uint64_t received = 0;      ///< publications that came from the broker
  std::uint64_t delivered = 0;     ///< of these: given to the workers
  std::uint64_t echoes = 0;        ///< of these: dropped with Order::local_first
  std::uint64_t repeated = 0;      ///< of these: dropped because they had come before
  std::uint64_t dropped_full = 0;  ///< of these: dropped because the workers were too slow
  std::uint64_t refused_full = 0;  ///< publications that the bridge refused because too much waited
  std::uint64_t refused_down = 0;  ///< publications that were refused because the bridge was down
  std::uint64_t dropped_down = 0;  ///< publications that waited too long, or were lost
  std::uint64_t refused_broker = 0;      ///< publications that the broker refused
  std::uint64_t gaps = 0;                ///< topics with a gap, each outage counts
  std::uint64_t healed = 0;              ///< holes that the history of the broker filled
  std::uint64_t histories = 0;           ///< answers to questions for a history or a position
  std::uint64_t waiting_bytes = 0;       ///< of publications that wait for the broker now
  std::uint64_t wanted = 0;              ///< topics that are wanted from the broker now
  std::uint64_t probe_microseconds = 0;  ///< the time of the last probe; 0: there was none
};

/// The counts of a server since it was made.
struct Counters {
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_open = 0;      ///< TCP connections now, of HTTP and WebSocket
  std::uint64_t connections_rejected = 0;  ///< answered with 503 at the connection limit
  std::uint64_t connections_limited = 0;   ///< refused because of ServerOptions::per_address
  std::uint64_t upgrades_limited = 0;      ///< answered with 429 because of the same
  std::uint64_t upgrades = 0;              ///< requests answered with 101
  std::uint64_t responses = 0;             ///< other answers to proper requests
  std::uint64_t messages_received = 0;
  std::uint64_t messages_sent = 0;  ///< accepted by send()
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t accept_pauses = 0;  ///< pauses because descriptors or memory were missing

  std::uint64_t topics = 0;                   ///< that exist now
  std::uint64_t topic_subscriptions = 0;      ///< now, of all connections
  std::uint64_t topic_history_bytes = 0;      ///< in the histories of all topics now
  std::uint64_t topic_histories_dropped = 0;  ///< because of TopicLimits::max_history_bytes
  std::uint64_t topic_published = 0;          ///< publications that were accepted
  std::uint64_t topic_published_full = 0;     ///< refused with PublishStatus::full
  /// Publications that wait for a worker or are on the way to its subscribers now. One that waits
  /// for several workers counts once for each of them.
  std::uint64_t topic_waiting = 0;
  std::uint64_t topic_deliveries = 0;      ///< publications that were given to a connection
  std::uint64_t topic_conflated = 0;       ///< left out for a slow subscriber of Delivery::latest
  std::uint64_t topic_skipped = 0;         ///< left out for a slow subscriber, see on_gap
  std::uint64_t topic_recovered = 0;       ///< subscriptions from a Position that missed nothing
  std::uint64_t topic_recover_failed = 0;  ///< subscriptions from a Position that missed something
  /// The time from a publication to the end of its delivery by one worker: upper bounds in
  /// microseconds, each with the number of deliveries that took at most so long. The last bound is
  /// the greatest number and stands for no bound.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> topic_fanout{};
  std::uint64_t topic_fanout_microseconds = 0;  ///< the sum of these times
  /// The time that the loops of the workers spent in each slice of a fan-out, in the same form. The
  /// other connections of the loop wait meanwhile.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> topic_slices{};
  std::uint64_t topic_slices_microseconds = 0;  ///< the sum of these times

  /// The bridges of the server, in the order of the calls of Server::bridge.
  std::vector<BridgeCounters> bridges{};

  /// Close codes (1000, 1001 …), each with the number of WebSocket connections that ended with it.
  std::vector<std::pair<int, std::uint64_t>> closes{};
  /// Names of Errc (see errc_name), as "origin_refused", each with the number of handshakes that
  /// failed for that reason.
  std::vector<std::pair<std::string, std::uint64_t>> refusals{};

  /// Returns the counts in Prometheus' text format, version 0.0.4. Its Content-Type is
  /// "text/plain; version=0.0.4". Throws std::bad_alloc.
  std::string prometheus() const;
};

}  // namespace tern
