// Prints one load. JSON has the same figures as the text.
#include "throughput/load_report.h"

#include "throughput/messages.h"

#include <chrono>
#include <cstdio>

namespace tern::bench {
namespace {

double microseconds(std::chrono::nanoseconds time) noexcept {
  return static_cast<double>(time.count()) / 1e3;
}

void print_json(const LatencySummary& latency) {
  std::printf(R"(,"latency_us":{"p50":%.3f,"p90":%.3f,"p99":%.3f,"p99.9":%.3f,"max":%.3f})",
              microseconds(latency.p50), microseconds(latency.p90), microseconds(latency.p99),
              microseconds(latency.p99_9), microseconds(latency.max));
}

void print_text(const LatencySummary& latency) {
  std::printf("latency, us: p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n",
              microseconds(latency.p50), microseconds(latency.p90), microseconds(latency.p99),
              microseconds(latency.p99_9), microseconds(latency.max));
}

}  // namespace

int print_load(const LoadOptions& asked, bool json) {
  LoadOptions options = asked;
  options.progress = true;
  const LoadResult result = run_load(options);
  if (json) {
    std::printf(
        R"({"connections":%zu,"depth":%zu,"size":%zu,"payload":"%s","seconds":%.4f,)"
        R"("messages":%llu,"messages_per_second":%.1f,"client_busy":%.3f,"reply_bytes":%zu)",
        options.connections, options.depth, options.size, to_string(options.kind).data(),
        result.seconds, static_cast<unsigned long long>(result.messages), result.per_second(),
        result.client_busy, result.reply_bytes);
    if (options.server != 0) {
      std::printf(R"(,"server_busy":%.3f,"server_us_per_message":%.4f)", result.server_busy,
                  result.server_us_each());
    }
    if (result.latency) print_json(*result.latency);
    std::puts("}");
    return 0;
  }
  std::printf("%.0f messages/s, %.1f MB/s each way, this client busy %.0f %%\n",
              result.per_second(), result.per_second() * static_cast<double>(options.size) / 1e6,
              result.client_busy * 100);
  if (result.latency) print_text(*result.latency);
  std::printf("a reply: %zu bytes on the wire%s\n", result.reply_bytes,
              message_variants(options) > 1 ? ", the mean" : "");
  if (options.server != 0) {
    std::printf("server: %.3f us of CPU each message, busy %.0f %%\n", result.server_us_each(),
                result.server_busy * 100);
  }
  if (result.client_busy > 0.95) std::puts("the client was the limit, so compare the server's CPU");
  return 0;
}

}  // namespace tern::bench
