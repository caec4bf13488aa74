// Counters cost a load and a store each; reading them sums up the workers.
#include "connection/metrics.h"

#include "tern/error.h"

#include <algorithm>
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

void Metrics::add_to(Counters& total) const {
  total.connections_accepted += connections_accepted.get();
  total.connections_open += connections_accepted.get() - connections_ended.get();
  total.connections_rejected += connections_rejected.get();
  total.upgrades += upgrades.get();
  total.responses += responses.get();
  total.messages_received += messages_received.get();
  total.messages_sent += messages_sent.get();
  total.bytes_received += bytes_received.get();
  total.bytes_sent += bytes_sent.get();
  total.accept_pauses += accept_pauses.get();
  for (std::size_t i = 0; i < closes_.size(); ++i) {
    const int code = i < named_codes ? first_code + static_cast<int>(i) : other_codes;
    add(total.closes, code, closes_[i].get());
  }
  for (std::size_t i = 0; i < refusals_.size(); ++i) {
    if (refusals_[i].get() == 0) continue;
    add(total.refusals, make_error_code(static_cast<Errc>(i)).message(), refusals_[i].get());
  }
}

}  // namespace connection

std::string Counters::prometheus() const {
  std::string text;
  const auto metric = [&](const char* name, const char* type, std::uint64_t value) {
    const std::string full = std::string("tern_") + name;
    text += "# TYPE " + full + ' ' + type + '\n' + full + ' ' + std::to_string(value) + '\n';
  };
  metric("connections_accepted_total", "counter", connections_accepted);
  metric("connections_open", "gauge", connections_open);
  metric("connections_rejected_total", "counter", connections_rejected);
  metric("upgrades_total", "counter", upgrades);
  metric("responses_total", "counter", responses);
  metric("messages_received_total", "counter", messages_received);
  metric("messages_sent_total", "counter", messages_sent);
  metric("bytes_received_total", "counter", bytes_received);
  metric("bytes_sent_total", "counter", bytes_sent);
  metric("accept_pauses_total", "counter", accept_pauses);
  text += "# TYPE tern_closes_total counter\n";
  for (const auto& [code, count] : closes) {
    const std::string label =
        code == connection::other_codes ? "application" : std::to_string(code);
    text += "tern_closes_total{code=\"" + label + "\"} " + std::to_string(count) + '\n';
  }
  text += "# TYPE tern_refusals_total counter\n";
  for (const auto& [reason, count] : refusals) {
    text += "tern_refusals_total{reason=\"" + reason + "\"} " + std::to_string(count) + '\n';
  }
  return text;
}

}  // namespace tern
