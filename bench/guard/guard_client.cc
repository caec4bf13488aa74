// The client of scripts/guard.sh, which counts the instructions of the server while this client
// talks to it.
//
// The counts must not depend on time. So messages go in batches. One send() writes all frames of a
// batch, and they are small enough for one segment of TCP, which arrives whole or not at all. The
// next batch follows only after all replies. So a turn of the server always reads exactly one
// batch.
//
// Each workload runs on a connection of its own with some batches, and then on another one with
// twice as many. The difference is the cost of the additional ones, without accept and upgrade. A
// first connection warms up everything that is made only once. Upgrades are counted one by one. All
// connections stay open to the end, because the time at which the server notices a close is random.
//
// Before each connection this program prints a line: "<workload> <messages>". The script adds the
// counts of all connections of a workload. A negative number means that it must subtract the count.
// A last connection, "end 0", only marks the end.

#include "simd/cpu.h"
#include "throughput/frames.h"
#include "throughput/system.h"
#include "throughput/upgrade.h"

#include <array>
#include <cstdio>
#include <exception>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace tern::bench {
namespace {

struct Workload {
  const char* name;
  PayloadKind kind;
  std::size_t size;   // bytes of a message
  std::size_t depth;  // messages of a batch
};

constexpr std::array workloads{
    Workload{"binary-16x1", PayloadKind::binary, 16, 1},
    Workload{"binary-16x16", PayloadKind::binary, 16, 16},
    Workload{"binary-1024x16", PayloadKind::binary, 1024, 16},
    Workload{"binary-4096x7", PayloadKind::binary, 4096, 7},
    Workload{"binary-16384x1", PayloadKind::binary, 16'384, 1},
    Workload{"mixed-1024x16", PayloadKind::mixed, 1024, 16},
};

constexpr std::size_t warm_up = 100;  // batches
constexpr std::size_t few_batches = 1'000;
constexpr int upgrades = 10;
constexpr int patience_ms = 60'000;  // for a reply

std::vector<std::byte> repeated(const std::vector<std::byte>& frame, std::size_t times) {
  std::vector<std::byte> all;
  for (; times > 0; --times) all.insert(all.end(), frame.begin(), frame.end());
  return all;
}

class Batches {
 public:
  Batches(const Target& target, const Workload& workload)
      : wire_(connect_and_upgrade(target)),
        requests_(make(workload, frame::Masking::masked)),
        replies_(make(workload, frame::Masking::unmasked)),
        got_(replies_.size()) {
    int segment = 0;
    socklen_t size = sizeof segment;
    if (::getsockopt(wire_.socket(), IPPROTO_TCP, TCP_MAXSEG, &segment, &size) != 0) {
      throw_errno("TCP_MAXSEG");
    }
    if (requests_.size() > static_cast<std::size_t>(segment)) {
      throw std::runtime_error("a batch is more than a segment, which may arrive in parts");
    }
  }

  void exchange() {
    const ssize_t sent = wire_.send(requests_);
    if (sent != static_cast<ssize_t>(requests_.size())) throw_errno("send a batch");
    for (std::size_t at = 0; at < got_.size();) at += receive(at);
    if (got_ != replies_) throw std::runtime_error("a reply is not the echo of what was sent");
  }

 private:
  static std::vector<std::byte> make(const Workload& workload, frame::Masking masking) {
    const std::string payload = make_payload(workload.kind, workload.size);
    return repeated(make_frame(opcode_of(workload.kind), payload, masking), workload.depth);
  }

  std::size_t receive(std::size_t at) {
    pollfd ready{.fd = wire_.socket(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, patience_ms) != 1) throw std::runtime_error("no reply for a minute");
    const ssize_t got = wire_.receive(got_.data() + at, got_.size() - at, 0);
    if (got < 0) throw_errno("receive a reply");
    if (got == 0) throw std::runtime_error("the server closed a connection");
    return static_cast<std::size_t>(got);
  }

  Wire wire_;
  std::vector<std::byte> requests_;
  std::vector<std::byte> replies_;
  std::vector<std::byte> got_;
};

void announce(const char* workload, long messages) {
  std::printf("%s %ld\n", workload, messages);
  std::fflush(stdout);
}

void run(const Target& target, const Workload& workload, std::vector<Batches>& open) {
  const auto messages = static_cast<long>(few_batches * workload.depth);
  const auto run_batches = [&](std::size_t batches, long counts) {
    announce(workload.name, counts);
    Batches& peer = open.emplace_back(target, workload);
    for (; batches > 0; --batches) peer.exchange();
  };
  run_batches(warm_up, 0);
  run_batches(few_batches, -messages);
  run_batches(2 * few_batches, 2 * messages);
}

void run_all(const Target& target) {
  std::vector<Batches> open;
  for (const Workload& workload : workloads) run(target, workload, open);
  std::vector<Wire> upgraded;
  for (int i = 0; i <= upgrades; ++i) {
    announce("upgrade", i == 0 ? 0 : 1);
    upgraded.push_back(connect_and_upgrade(target));
  }
  announce("end", 0);
  upgraded.push_back(connect_and_upgrade(target));
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: guard_client ws://HOST:PORT/PATH | --simd\n");
    return 2;
  }
  const std::string argument = argv[1];
  if (argument == "--simd") {
    std::puts(tern::simd::name(tern::simd::detect()).data());
    return 0;
  }
  try {
    tern::bench::run_all(tern::bench::Target::parse(argument));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "guard_client: %s\n", error.what());
    return 1;
  }
}
