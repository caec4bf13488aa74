// The figures of one connection, one message and one handshake.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tern::bench {

/// Measured on one machine; docs/performance.md has the same table, with the commands. Bytes are of
/// resident memory, microseconds are of CPU time.
struct Figures {
  double idle_bytes = 257;           ///< an open connection at rest
  double idle_tls_bytes = 14'248;    ///< the same with TLS
  double kernel_bytes = 4'100;       ///< its socket in the kernel, with empty buffers
  double subscription_bytes = 98;    ///< one subscription, with its share of the topic
  double process_bytes = 8'500'000;  ///< a server without connections
  double message_us = 11.4;          ///< a message that comes in; an echo, so rather too much
  double message_tls_us = 14.1;
  double delivery_us = 9.20;  ///< one message to one subscriber
  double delivery_tls_us = 13.0;
  double upgrade_us = 50.5;
  double upgrade_tls_us = 262;  ///< with a full handshake of TLS 1.3
  double bridge_in_us = 1.2;    ///< a publication that a bridge receives
  double bridge_out_us = 2.0;   ///< a publication that a bridge sends
  double broker_in_us = 0.35;   ///< a publication that nats-server receives
  double broker_out_us = 0.35;  ///< the same publication to one more process
};

/// A row of the table in docs/performance.md.
struct FigureRow {
  std::string_view name;
  std::string value;
  std::string_view source;
};

std::vector<FigureRow> rows_of(const Figures& figures);

}  // namespace tern::bench
