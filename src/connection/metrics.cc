// To count costs one load and one store. To read the counters sums up those of all workers.
#include "connection/metrics.h"

#include "tern/error.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

namespace tern {
namespace connection {
namespace {

constexpr int first_code = 1000;
constexpr int other_codes = 3000;  // stands for all codes of applications

template <class Key>
void add(std::vector<std::pair<Key, std::uint64_t>>& list, const Key& key, std::uint64_t count) {
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const auto& entry) { return entry.first == key; });
  if (found != list.end()) {
    found->second += count;
  } else if (count > 0) {
    list.emplace_back(key, count);
  }
}

}  // namespace

void Metrics::closed(CloseCode code) noexcept {
  const auto index = static_cast<std::size_t>(static_cast<int>(code) - first_code);
  closes_[std::min(index, named_codes)].add();
}

void Metrics::refused(std::error_code why) noexcept {
  const bool ours = why.category() == error_category();
  const auto value =
      static_cast<std::size_t>(ours ? why.value() : static_cast<int>(Errc::connection_reset));
  refusals_[std::min(value, max_errc - 1)].add();
}

void Times::add(std::chrono::nanoseconds time) noexcept {
  const auto microseconds =
      static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::microseconds>(time).count());
  const auto place = std::ranges::lower_bound(bounds, microseconds) - bounds.begin();
  counts_[static_cast<std::size_t>(place)].add();
  nanoseconds_.add(static_cast<std::uint64_t>(time.count()));
}

void Times::add_to(Histogram& histogram, std::uint64_t& microseconds) const {
  constexpr std::uint64_t no_bound = std::numeric_limits<std::uint64_t>::max();
  if (histogram.empty()) {
    for (const std::uint64_t bound : bounds) histogram.emplace_back(bound, 0);
    histogram.emplace_back(no_bound, 0);
  }
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    sum += counts_[i].get();
    histogram[i].second += sum;
  }
  microseconds += nanoseconds_.get() / 1000;
}

void Metrics::add_topics_to(Counters& total) const {
  const std::uint64_t ended = topic_subscriptions_ended.get_first();
  total.topic_subscriptions += topic_subscriptions_begun.get() - ended;
  total.topic_deliveries += topic_deliveries.get();
  total.topic_conflated += topic_conflated.get();
  total.topic_skipped += topic_skipped.get();
  total.topic_recovered += topic_recovered.get();
  total.topic_recover_failed += topic_recover_failed.get();
  topic_fanout.add_to(total.topic_fanout, total.topic_fanout_microseconds);
  topic_slices.add_to(total.topic_slices, total.topic_slices_microseconds);
}

void Metrics::add_to(Counters& total) const {
  const std::uint64_t ended =
      connections_ended.get_first();  // read first, so that the difference is never below 0
  const std::uint64_t accepted = connections_begun.get();
  total.connections_accepted += accepted;
  total.connections_open += accepted - ended;
  total.connections_rejected += connections_rejected.get();
  total.connections_limited += connections_limited.get();
  total.upgrades_limited += upgrades_limited.get();
  total.upgrades += upgrades.get();
  total.responses += responses.get();
  total.messages_received += messages_received.get();
  total.messages_sent += messages_sent.get();
  total.bytes_received += bytes_received.get();
  total.bytes_sent += bytes_sent.get();
  total.accept_pauses += accept_pauses.get();
  add_topics_to(total);
  for (std::size_t i = 0; i < closes_.size(); ++i) {
    const int code = i < named_codes ? first_code + static_cast<int>(i) : other_codes;
    add(total.closes, code, closes_[i].get());
  }
  for (std::size_t i = 0; i < refusals_.size(); ++i) {
    if (refusals_[i].get() == 0) continue;
    add(total.refusals, std::string(errc_name(static_cast<Errc>(i))), refusals_[i].get());
  }
}

}  // namespace connection

namespace {

// Writes the text format 0.0.4 of Prometheus.
class Exposition {
 public:
  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, "counter", help);
    sample(name, {}, {}, value);
  }
  void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, "gauge", help);
    sample(name, {}, {}, value);
  }
  /// Opens a family of samples. `help` has neither a line end nor a backslash.
  void family(std::string_view name, std::string_view type, std::string_view help) {
    text_.append("# HELP tern_").append(name).append(" ").append(help);
    text_.append("\n# TYPE tern_").append(name).append(" ").append(type).append("\n");
  }
  void sample(std::string_view name, std::string_view label, std::string_view label_value,
              std::uint64_t value) {
    text_.append("tern_").append(name);
    if (!label.empty()) {
      text_.append("{").append(label).append("=\"");
      for (const char c : label_value) append_escaped(c);
      text_.append("\"}");
    }
    text_.append(" ").append(std::to_string(value)).append("\n");
  }
  /// The samples of one value for each bridge.
  template <class F>
  void bridges(std::string_view name, std::string_view help, const Counters& counters, F&& value) {
    family(name, name.ends_with("_total") ? "counter" : "gauge", help);
    for (const BridgeCounters& each : counters.bridges) {
      sample(name, "topics", each.topics, value(each));
    }
  }
  void sample_text(std::string_view name, std::string_view value) {
    text_.append("tern_").append(name).append(" ").append(value).append("\n");
  }
  std::string take() { return std::move(text_); }

 private:
  void append_escaped(char c) {
    if (c == '\n') {
      text_ += "\\n";
      return;
    }
    if (c == '"' || c == '\\') text_ += '\\';
    text_ += c;
  }

  std::string text_{};
};

// Exact, and with a point in every locale.
std::string seconds_of(std::uint64_t microseconds) {
  constexpr std::uint64_t million = 1'000'000;
  std::string fraction = std::to_string(microseconds % million + million);
  fraction.front() = '.';
  return std::to_string(microseconds / million) + fraction;
}

/// A family of one sample: a counter if its name ends in "_total", else a gauge.
struct Family {
  std::string_view name;
  std::string_view help;
  std::uint64_t Counters::*value;
};

constexpr Family topic_families[] = {
    {"topics", "Topics that exist.", &Counters::topics},
    {"topic_subscriptions", "Subscriptions of all connections.", &Counters::topic_subscriptions},
    {"topic_history_bytes", "Bytes in the histories of all topics.",
     &Counters::topic_history_bytes},
    {"topic_histories_dropped_total",
     "Histories that were dropped because all of them were too large.",
     &Counters::topic_histories_dropped},
    {"topic_published_total", "Publications that were accepted.", &Counters::topic_published},
    {"topic_published_full_total", "Publications that were refused because too much waited.",
     &Counters::topic_published_full},
    {"topic_waiting", "Publications that wait for a worker or for its subscribers.",
     &Counters::topic_waiting},
    {"topic_deliveries_total", "Publications that were given to a connection.",
     &Counters::topic_deliveries},
    {"topic_conflated_total", "Publications that were left out because a newer one replaced them.",
     &Counters::topic_conflated},
    {"topic_skipped_total", "Publications that were left out for a slow subscriber.",
     &Counters::topic_skipped},
    {"topic_recovered_total", "Subscriptions from a position that missed nothing.",
     &Counters::topic_recovered},
    {"topic_recover_failed_total", "Subscriptions from a position that missed publications.",
     &Counters::topic_recover_failed},
};

struct BridgeFamily {
  std::string_view name;
  std::string_view help;
  std::uint64_t BridgeCounters::*value;
};

constexpr BridgeFamily bridge_families[] = {
    {"bridge_connects_total", "Connections to a broker that succeeded.", &BridgeCounters::connects},
    {"bridge_failures_total", "Connections to a broker that failed or were lost.",
     &BridgeCounters::failures},
    {"bridge_published_total", "Publications that were given to the broker.",
     &BridgeCounters::published},
    {"bridge_received_total", "Publications that came from the broker.", &BridgeCounters::received},
    {"bridge_delivered_total", "Publications of the broker that were given to the workers.",
     &BridgeCounters::delivered},
    {"bridge_echoes_total", "Publications of this server that came back and were dropped.",
     &BridgeCounters::echoes},
    {"bridge_repeated_total", "Publications that were dropped because they had come before.",
     &BridgeCounters::repeated},
    {"bridge_dropped_full_total",
     "Publications of the broker that were dropped because the workers were too slow.",
     &BridgeCounters::dropped_full},
    {"bridge_refused_full_total", "Publications that were refused because too much waited.",
     &BridgeCounters::refused_full},
    {"bridge_refused_down_total", "Publications that were refused because there was no broker.",
     &BridgeCounters::refused_down},
    {"bridge_dropped_down_total", "Publications that waited too long for a broker, or were lost.",
     &BridgeCounters::dropped_down},
    {"bridge_refused_broker_total", "Publications that the broker refused.",
     &BridgeCounters::refused_broker},
    {"bridge_gaps_total", "Topics of which publications may be missing, for each outage.",
     &BridgeCounters::gaps},
    {"bridge_healed_total", "Holes that the history of the broker filled.",
     &BridgeCounters::healed},
    {"bridge_histories_total", "Answers to questions for a history.", &BridgeCounters::histories},
    {"bridge_waiting_bytes", "Bytes of publications that wait for the broker.",
     &BridgeCounters::waiting_bytes},
    {"bridge_wanted_topics", "Topics that are wanted from the broker.", &BridgeCounters::wanted},
};

void write_bridges(Exposition& out, const Counters& counters) {
  if (counters.bridges.empty()) return;
  out.bridges("bridge_up", "Whether the bridge has a broker.", counters,
              [](const BridgeCounters& each) { return std::uint64_t{each.up}; });
  for (const BridgeFamily& family : bridge_families) {
    out.bridges(family.name, family.help, counters,
                [&](const BridgeCounters& each) { return each.*family.value; });
  }
  out.bridges("bridge_probe_microseconds", "Time of the last probe through the broker.", counters,
              [](const BridgeCounters& each) { return each.probe_microseconds; });
}

void write_histogram(Exposition& out, const std::string& name, std::string_view help,
                     const connection::Times::Histogram& histogram, std::uint64_t microseconds) {
  if (histogram.empty()) return;
  out.family(name, "histogram", help);
  for (const auto& [bound, count] : histogram) {
    const bool has_bound = bound != std::numeric_limits<std::uint64_t>::max();
    out.sample(name + "_bucket", "le", has_bound ? seconds_of(bound) : "+Inf", count);
  }
  out.sample_text(name + "_sum", seconds_of(microseconds));
  out.sample(name + "_count", {}, {}, histogram.back().second);
}

void write_topics(Exposition& out, const Counters& counters) {
  for (const Family& each : topic_families) {
    const std::uint64_t value = counters.*each.value;
    each.name.ends_with("_total") ? out.counter(each.name, each.help, value)
                                  : out.gauge(each.name, each.help, value);
  }
  write_histogram(out, "topic_fanout_seconds",
                  "Time from a publication to the end of its delivery by a worker.",
                  counters.topic_fanout, counters.topic_fanout_microseconds);
  write_histogram(out, "topic_slice_seconds",
                  "Time of a loop in one slice of a fan-out, while its other connections wait.",
                  counters.topic_slices, counters.topic_slices_microseconds);
}

}  // namespace

std::string Counters::prometheus() const {
  Exposition out;
  out.counter("connections_accepted_total", "TCP connections that were accepted.",
              connections_accepted);
  out.gauge("connections_open", "TCP connections that are open, of HTTP and WebSocket.",
            connections_open);
  out.counter("connections_rejected_total",
              "Connections that received 503 at the connection limit.", connections_rejected);
  out.counter("connections_limited_total",
              "Connections that were refused because their address had too many.",
              connections_limited);
  out.counter("upgrades_limited_total",
              "Upgrades that were refused because their address made too many.", upgrades_limited);
  out.counter("upgrades_total", "Requests that were answered with 101.", upgrades);
  out.counter("responses_total", "Proper requests that received another answer than 101.",
              responses);
  out.counter("messages_received_total", "Messages that were received.", messages_received);
  out.counter("messages_sent_total", "Messages that were accepted by send().", messages_sent);
  out.counter("bytes_received_total", "Bytes of HTTP and WebSocket that were read.",
              bytes_received);
  out.counter("bytes_sent_total", "Bytes of HTTP and WebSocket that were written.", bytes_sent);
  out.counter("accept_pauses_total",
              "Pauses of accepting because descriptors or memory were missing.", accept_pauses);
  write_topics(out, *this);
  write_bridges(out, *this);
  out.family("closes_total", "counter", "WebSocket connections that ended, by close code.");
  for (const auto& [code, count] : closes) {
    const bool of_application = code == connection::other_codes;
    out.sample("closes_total", "code", of_application ? "application" : std::to_string(code),
               count);
  }
  out.family("refusals_total", "counter", "Handshakes that failed, by the name of the tern::Errc.");
  for (const auto& [reason, count] : refusals)
    out.sample("refusals_total", "reason", reason, count);
  return out.take();
}

}  // namespace tern
