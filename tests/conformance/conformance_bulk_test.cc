// Group 9 against the programs: half a gigabyte in each direction. `make conformance` runs it.
#include "conformance/programs.h"

namespace tern::conformance {
namespace {

TEST(ConformanceBulk, Rfc6455_5_6_AServerPassesGroup9) { expect_server_results("9", bulk_flags); }
TEST(ConformanceBulk, Rfc6455_5_6_AClientPassesGroup9) { expect_client_results("9", bulk_flags); }

}  // namespace
}  // namespace tern::conformance
