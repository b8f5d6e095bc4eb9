package conformance_test

import (
	"flag"
	"os"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"k8s.io/klog/v2"
	conformancetestdata "k8s.io/kubernetes/test/conformance/testdata"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	"k8s.io/kubernetes/test/e2e/framework/testfiles"
	e2etestingmanifests "k8s.io/kubernetes/test/e2e/testing-manifests"
	testfixtures "k8s.io/kubernetes/test/fixtures"

	// The specs register themselves.
	_ "k8s.io/kubernetes/test/e2e/apimachinery"
	_ "k8s.io/kubernetes/test/e2e/apps"
	_ "k8s.io/kubernetes/test/e2e/architecture"
	_ "k8s.io/kubernetes/test/e2e/auth"
	_ "k8s.io/kubernetes/test/e2e/autoscaling"
	_ "k8s.io/kubernetes/test/e2e/common"
	_ "k8s.io/kubernetes/test/e2e/dra"
	_ "k8s.io/kubernetes/test/e2e/instrumentation"
	_ "k8s.io/kubernetes/test/e2e/kubectl"
	_ "k8s.io/kubernetes/test/e2e/lifecycle/bootstrap"
	_ "k8s.io/kubernetes/test/e2e/network"
	_ "k8s.io/kubernetes/test/e2e/node"
	_ "k8s.io/kubernetes/test/e2e/scheduling"
	_ "k8s.io/kubernetes/test/e2e/storage"
)

// asSuite tells this program that it was started to run the specs against one server, by runSpecs.
const asSuite = "GATEHOUSE_CONFORMANCE_SUITE"

func TestMain(m *testing.M) {
	if os.Getenv(asSuite) != "" {
		config.CopyFlags(config.Flags, flag.CommandLine)
		framework.RegisterCommonFlags(flag.CommandLine)
		framework.RegisterClusterFlags(flag.CommandLine)
		flag.Parse()
		testfiles.AddFileSource(e2etestingmanifests.GetE2ETestingManifestsFS())
		testfiles.AddFileSource(testfixtures.GetTestFixturesFS())
		testfiles.AddFileSource(conformancetestdata.GetConformanceTestdataFS())
		framework.AfterReadingAllFlags(&framework.TestContext)
	}
	os.Exit(m.Run())
}

// TestSpecs is the suite as ginkgo runs it. It is started by TestConformance, once for each server.
func TestSpecs(t *testing.T) {
	if os.Getenv(asSuite) == "" {
		t.Skip("TestConformance runs this")
	}
	klog.EnableContextualLogging(true)
	gomega.RegisterFailHandler(framework.Fail)
	suite, reporter := framework.CreateGinkgoConfig()
	ginkgo.RunSpecs(t, "specs", suite, reporter)
}
