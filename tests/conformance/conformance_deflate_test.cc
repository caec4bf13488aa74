// Groups 12 and 13, permessage-deflate: every case against the engine and the programs, in both
// roles. Both sides must agree on compression each time, so no case is UNIMPLEMENTED.
#include "conformance/deflate_subjects.h"

namespace tern::conformance {
namespace {

class ConformanceDeflate : public testing::TestWithParam<const char*> {};

TEST_P(ConformanceDeflate, Rfc7692_AServerEnginePassesEveryCaseOfTheGroup) {
  expect_engine_deflate(Role::server, GetParam());
}
TEST_P(ConformanceDeflate, Rfc7692_AClientEnginePassesEveryCaseOfTheGroup) {
  expect_engine_deflate(Role::client, GetParam());
}
TEST_P(ConformanceDeflate, Rfc7692_AServerPassesEveryCaseOfTheGroup) {
  expect_server_deflate(GetParam());
}
TEST_P(ConformanceDeflate, Rfc7692_AClientPassesEveryCaseOfTheGroup) {
  expect_client_deflate(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Groups, ConformanceDeflate, testing::Values("12", "13"),
                         [](const auto& row) { return row.param; });

}  // namespace
}  // namespace tern::conformance
