// Every case except the bulk against build/bin/echo_server. The tester is the client.
#include "conformance/programs.h"

namespace tern::conformance {
namespace {

class ConformanceServer : public testing::TestWithParam<const char*> {};

TEST_P(ConformanceServer, Rfc6455_PassesEveryCaseOfTheGroup) { expect_server_results(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Groups, ConformanceServer,
                         testing::Values("1", "2", "3", "4", "5", "6", "7", "10"),
                         [](const auto& row) { return row.param; });

}  // namespace
}  // namespace tern::conformance
