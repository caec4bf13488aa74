// The rows of the table of figures. Each row names the command that measures it.
#include "scale_model/figures.h"

#include "scale_model/text.h"

namespace tern::bench {

std::vector<FigureRow> rows_of(const Figures& figures) {
  const auto bytes = [](double value) { return spaced(value) + " B"; };
  const auto us = [](double value) { return fixed(value, 2) + " us"; };
  return {
      {"an idle connection", bytes(figures.idle_bytes), "`tern-bench idle`"},
      {"an idle connection with TLS", bytes(figures.idle_tls_bytes), "`tern-bench idle`, wss"},
      {"its socket in the kernel", bytes(figures.kernel_bytes), "/proc/slabinfo, see below"},
      {"a subscription", bytes(figures.subscription_bytes), "`tern-bench fanout`, a million"},
      {"a server without connections", bytes(figures.process_bytes), "`tern-bench idle`"},
      {"a message that comes in", us(figures.message_us),
       "an echo, `tern-bench scaling`, 10 000 connections"},
      {"the same with TLS", us(figures.message_tls_us),
       "plus the difference of wss, 64 B, to 100 connections"},
      {"a delivery", us(figures.delivery_us), "`tern-bench fanout`, 8000, 100 B"},
      {"a delivery with TLS", us(figures.delivery_tls_us),
       "plus the difference of wss 1000 to 1000, 100 B"},
      {"an upgrade", us(figures.upgrade_us), "`tern-bench compare`, upgrades"},
      {"an upgrade with a TLS handshake", us(figures.upgrade_tls_us),
       "`tern-bench compare`, wss, upgrades"},
      {"a publication from the broker", us(figures.bridge_in_us), "`tern-bench bridge`, NATS"},
      {"a publication to the broker", us(figures.bridge_out_us), "`tern-bench bridge`, NATS"},
      {"nats-server, a publication in", us(figures.broker_in_us), "half of `tern-bench bridge`"},
      {"nats-server, to one more process", us(figures.broker_out_us),
       "half of `tern-bench bridge`"},
  };
}

}  // namespace tern::bench
