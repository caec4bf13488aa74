// Groups 12 and 13 at full size: a case has 1000 messages, or fewer that have 16 MiB together.
// `make conformance` runs it.
#include "conformance/deflate_subjects.h"

namespace tern::conformance {
namespace {

class ConformanceDeflateBulk : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { deflate_bytes() = std::size_t{16} << 20; }
};

TEST_P(ConformanceDeflateBulk, Rfc7692_AServerPassesEveryCaseOfTheGroup) {
  expect_server_deflate(GetParam());
}
TEST_P(ConformanceDeflateBulk, Rfc7692_AClientPassesEveryCaseOfTheGroup) {
  expect_client_deflate(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Groups, ConformanceDeflateBulk, testing::Values("12", "13"),
                         [](const auto& row) { return row.param; });

}  // namespace
}  // namespace tern::conformance
