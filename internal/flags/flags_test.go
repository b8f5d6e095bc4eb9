package flags_test

import (
	"bytes"
	"flag"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/gatehouse/gatehouse/internal/flags"
)

var update = flag.Bool("update", false, "write docs/flags.md")

func TestDocumentIsCurrent(t *testing.T) {
	const file = "../../docs/flags.md"
	want := flags.Markdown()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is out of date, run go test ./internal/flags -update (-want +got):\n%s", file, diff)
	}
}

// parse returns what a command line asks for.
func parse(t *testing.T, p flags.Profile, args ...string) (*flags.Options, []string, error) {
	t.Helper()
	set := flags.New(p)
	if err := set.FlagSet().Parse(args); err != nil {
		return nil, nil, flags.Explain(err, set.FlagSet())
	}
	return set.Options()
}

func TestNoFlagsAreSafe(t *testing.T) {
	got, notes, err := parse(t, flags.Hardened)
	if err != nil {
		t.Fatal(err)
	}
	type facts struct {
		Bind, Data, Audit string
		Anonymous         flags.Anonymous
		Modes             []string
		Extend, Limited   bool
	}
	want := facts{
		Bind: "127.0.0.1", Data: "./gatehouse-data", Audit: "gatehouse-data/audit/audit.log",
		Anonymous: flags.AnonymousHealth, Modes: []string{"Node", "RBAC"}, Limited: true,
	}
	has := facts{
		Bind: got.BindAddress.String(), Data: got.DataDir, Audit: got.AuditLogPath,
		Anonymous: got.Anonymous, Modes: got.AuthorizationModes, Extend: got.ServiceAccountExtendTokenExpiration,
		Limited: got.PeerRateLimit > 0 && got.ClientRateLimit > 0,
	}
	if diff := cmp.Diff(want, has); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if len(notes) > 0 {
		t.Errorf("notes on defaults: %q", notes)
	}
}

// The arguments are those that controller-runtime's envtest passes.
func TestEnvtestStarts(t *testing.T) {
	got, notes, err := parse(
		t, flags.Compatible,
		"--allow-privileged=true", "--authorization-mode=RBAC", "--bind-address=127.0.0.1", "--cert-dir=/tmp/certs",
		"--client-ca-file=/tmp/certs/client-cert-auth-ca.crt", "--disable-admission-plugins=ServiceAccount",
		"--etcd-servers=http://127.0.0.1:2379", "--secure-port=40001", "--service-account-issuer=https://127.0.0.1:40001/",
		"--service-account-key-file=/tmp/certs/sa-signer.crt", "--service-account-signing-key-file=/tmp/certs/sa-signer.key",
		"--service-cluster-ip-range=10.0.0.0/24",
	)
	if err != nil {
		t.Fatal(err)
	}
	want := &flags.Options{
		Profile:            flags.Compatible,
		AuthorizationModes: []string{"RBAC"}, BindAddress: netip.MustParseAddr("127.0.0.1"),
		CertDir: "/tmp/certs", ClientCAFile: "/tmp/certs/client-cert-auth-ca.crt",
		EtcdServers: []string{"http://127.0.0.1:2379"}, EtcdPrefix: "/registry", SecurePort: 40001,
		ServiceAccountIssuers:        []string{"https://127.0.0.1:40001/"},
		ServiceAccountKeyFiles:       []string{"/tmp/certs/sa-signer.crt"},
		ServiceAccountSigningKeyFile: "/tmp/certs/sa-signer.key",
		Kubelets: flags.Kubelets{
			AddressTypes: []string{"Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"},
			Timeout:      5 * time.Second, AllowLoopback: true,
		},
		ServiceClusterIPRanges:              []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")},
		ServiceNodePorts:                    utilnet.PortRange{Base: 30000, Size: 2768},
		EndpointReconciler:                  flags.ReconcilerLease,
		OIDC:                                flags.OIDC{UsernameClaim: "sub", SigningAlgs: []string{"RS256"}},
		TokenWebhook:                        flags.TokenWebhook{Version: "v1beta1", CacheTTL: 2 * time.Minute},
		Anonymous:                           flags.AnonymousAny,
		ServiceAccountExtendTokenExpiration: true,
		AdmissionOff:                        []string{"ServiceAccount"},
		NotReadyTolerationSeconds:           300,
		UnreachableTolerationSeconds:        300,
		LoggingFormat:                       "text",
		Transport:                           flags.Transport{MinRequestTimeout: 30 * time.Minute},
	}
	limits := cmpopts.IgnoreFields(flags.Options{}, "MaxRequestsInflight", "MaxMutatingRequestsInflight", "PeerRateBurst", "ClientRateBurst",
		"RequestTimeout", "EventTTL", "EtcdCompactionInterval", "AuditLogMaxSize", "AuditLogMaxBackup", "AuditLogMaxAge", "Authorization")
	if diff := cmp.Diff(want, got, limits, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	wantNotes := []string{
		"--allow-privileged=true changes nothing: policies decide about privileged containers",
	}
	if diff := cmp.Diff(wantNotes, notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestPluginsAreTurnedOnAndOff(t *testing.T) {
	got, notes, err := parse(t, flags.Hardened, "--bind-address=127.0.0.1",
		"--enable-admission-plugins=ServiceAccount,Priority", "--disable-admission-plugins=ResourceQuota,PodGroupProtection")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ResourceQuota"}, got.AdmissionOff); diff != "" {
		t.Errorf("off (-want +got):\n%s", diff)
	}
	want := []string{
		"--enable-admission-plugins=ServiceAccount changes nothing: it is on",
		"--enable-admission-plugins=Priority changes nothing: it is on",
		"--disable-admission-plugins=PodGroupProtection changes nothing: it has no effect in kube-apiserver either, unless a feature gate is turned on",
	}
	if diff := cmp.Diff(want, notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// TestPluginsOfTheProfiles guards names that configurations of kube-apiserver have, and what is off there without being asked for.
func TestPluginsOfTheProfiles(t *testing.T) {
	compatible := []string{"--authorization-mode=RBAC", "--etcd-servers=http://127.0.0.1:2379", "--service-account-issuer=x", "--service-account-signing-key-file=k"}
	for name, test := range map[string]struct {
		profile flags.Profile
		args    []string
		on, off []string
		notes   []string
	}{
		"hardened":   {flags.Hardened, nil, []string{"NodeRestriction"}, nil, nil},
		"compatible": {flags.Compatible, compatible, nil, nil, nil},
		"what is off can be turned on": {
			flags.Compatible, append(compatible, "--enable-admission-plugins=NodeRestriction,AlwaysPullImages"), []string{"NodeRestriction", "AlwaysPullImages"}, nil, nil,
		},
		"and in the hardened profile off again": {flags.Hardened, []string{"--disable-admission-plugins=NodeRestriction"}, nil, nil, nil},
		"the compatible profile turns everything off": {
			flags.Compatible, append(compatible, "--disable-admission-plugins=NamespaceLifecycle,CertificateApproval"), nil, []string{"NamespaceLifecycle", "CertificateApproval"}, nil,
		},
		"webhooks are named in many configurations": {
			flags.Compatible, append(compatible, "--enable-admission-plugins=MutatingAdmissionWebhook", "--disable-admission-plugins=ValidatingAdmissionWebhook"), nil,
			[]string{"ValidatingAdmissionWebhook"},
			[]string{"--enable-admission-plugins=MutatingAdmissionWebhook changes nothing: it is on"},
		},
		"what is off is turned off": {
			flags.Compatible, append(compatible, "--disable-admission-plugins=AlwaysDeny,AlwaysAdmit"), nil, nil,
			[]string{
				"--disable-admission-plugins=AlwaysDeny changes nothing: it is off",
				"--disable-admission-plugins=AlwaysAdmit changes nothing: it has no effect in kube-apiserver either, unless a feature gate is turned on",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, notes, err := parse(t, test.profile, test.args...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]string{test.on, test.off}, [][]string{got.AdmissionOn, got.AdmissionOff}, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("on and off (-want +got):\n%s", diff)
			}
			notes = slices.DeleteFunc(notes, func(note string) bool {
				return !strings.Contains(note, "-admission-plugins=") || strings.Contains(note, "-mode=")
			})
			if diff := cmp.Diff(test.notes, notes, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProfileFlagMovesDefaultsOnly(t *testing.T) {
	got, _, err := parse(
		t, flags.Hardened, "--bind-address=127.0.0.9", "--profile=compatible", "--authorization-mode=RBAC",
		"--etcd-servers=http://127.0.0.1:2379", "--service-account-issuer=x", "--service-account-signing-key-file=k",
	)
	if err != nil {
		t.Fatal(err)
	}
	if got.BindAddress.String() != "127.0.0.9" || !cmp.Equal(got.AuthorizationModes, []string{"RBAC"}) {
		t.Errorf("bind address %v and modes %v: --profile replaced what was given", got.BindAddress, got.AuthorizationModes)
	}
	if got.CertDir != "/var/run/kubernetes" || got.DataDir != "" || got.Anonymous != flags.AnonymousAny || got.ClientRateLimit != 0 {
		t.Errorf("options %+v: --profile did not replace the other defaults", got)
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string // all faults, as lines
	}{
		{"a misspelt flag is not ignored", []string{"--etcd-server=x"}, []string{"unknown flag --etcd-server: did you mean --etcd-servers?"}},
		{"nothing is near", []string{"--frobnicate"}, []string{"unknown flag --frobnicate"}},
		{"an unknown shorthand", []string{"-x"}, []string{"unknown flag -x"}},
		{
			"a flag of kube-apiserver that would be ignored",
			[]string{"--service-account-signing-endpoint=https://x", "--encryption-provider-config", "f"},
			[]string{"--service-account-signing-endpoint: not implemented yet", "--encryption-provider-config: not implemented yet"},
		},
		{
			"a boolean that is not implemented does not swallow the next argument",
			[]string{"--audit-log-batch-throttle-enable", "--secure-port=70000"},
			[]string{"--audit-log-batch-throttle-enable: not implemented yet", "--secure-port=70000: want a port from 1 to 65535, or 0 to have a free one chosen"},
		},
		{
			"a flag with one meaning has no other",
			[]string{"--profiling"},
			[]string{"--profiling=true: not implemented, there are no profiling endpoints: leave it out or give false"},
		},
		{
			"values that cannot be read do not hide other faults",
			[]string{"--secure-port=https", "--bind-address=localhost", "--request-timeout=1", "--event-ttl=0s"},
			[]string{
				"--secure-port=https: invalid syntax", "--bind-address=localhost: want an IP address",
				`--request-timeout=1: time: missing unit in duration "1"`, "--event-ttl=0s: want 1s to 8760h0m0s",
			},
		},
		{
			"a configuration and flags that say who decides",
			[]string{"--authorization-config=c", "--authorization-mode=RBAC", "--authorization-webhook-cache-unauthorized-ttl=1s"},
			[]string{
				"--authorization-webhook-cache-unauthorized-ttl: --authorization-config says that too: give one of them",
				"--authorization-mode: --authorization-config says that too: give one of them",
			},
		},
		{
			"the file of a mode that is not there",
			[]string{"--authorization-policy-file=p"},
			[]string{"--authorization-policy-file: not implemented, its policy file changes only with a restart and cannot be reviewed by the API: use RBAC"},
		},
		{
			"attribute-based authorization is not silently left out",
			[]string{"--authorization-mode=Node,ABAC"},
			[]string{"--authorization-mode=ABAC: not implemented, its policy file changes only with a restart and cannot be reviewed by the API: use RBAC"},
		},
		{
			"a plugin that would be left out",
			[]string{"--enable-admission-plugins=ImagePolicyWebhook,NamespaceLifecycle"},
			[]string{"--enable-admission-plugins=ImagePolicyWebhook: not implemented yet"},
		},
		{
			"a misspelt plugin",
			[]string{"--disable-admission-plugins=ServiceAcount"},
			[]string{"--disable-admission-plugins=ServiceAcount: no such plugin: did you mean ServiceAccount?"},
		},
		{
			"a plugin that is on and off",
			[]string{"--enable-admission-plugins=Priority", "--disable-admission-plugins=Priority"},
			[]string{"--enable-admission-plugins=Priority: --disable-admission-plugins names it too"},
		},
		{
			"a plugin that stays on",
			[]string{"--disable-admission-plugins=NamespaceLifecycle"},
			[]string{"--disable-admission-plugins=NamespaceLifecycle: the hardened profile keeps it on"},
		},
		{
			"audit cannot be turned off by an empty path",
			[]string{"--audit-log-path="},
			[]string{"--audit-log-path: the hardened profile does not serve without an audit log"},
		},
		{
			"everything allowed",
			[]string{"--authorization-mode=AlwaysAllow"},
			[]string{"--authorization-mode=AlwaysAllow: the hardened profile refuses it"},
		},
		{
			"an unknown profile",
			[]string{"--profile=hard"},
			[]string{"--profile=hard: want hardened or compatible"},
		},
		{
			"compatible without what kube-apiserver requires",
			[]string{"--profile=compatible"},
			[]string{
				"--etcd-servers: required, or --data-dir for the embedded etcd",
				"--service-account-issuer: required without --data-dir", "--service-account-signing-key-file: required without --data-dir",
			},
		},
		{
			"a password does not reach the terminal",
			[]string{"--etcd-servers=https://root:hunter2@10.0.0.1:2379"},
			[]string{"--etcd-servers=https://root:xxxxx@10.0.0.1:2379: no user in the URL, use --etcd-certfile and --etcd-keyfile"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := parse(t, flags.Hardened, tt.args...)
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tt.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	base := []string{"--etcd-servers=http://127.0.0.1:2379", "--service-account-issuer=x", "--service-account-signing-key-file=k"}
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{
			"AlwaysAllow turns anonymous requests off, as in kube-apiserver", nil,
			[]string{
				"--anonymous-auth is off: --authorization-mode=AlwaysAllow would let everybody do everything",
				"--authorization-mode=AlwaysAllow lets every authenticated user do everything",
			},
		},
		{
			"nodes that nothing restricts are said",
			[]string{"--authorization-mode=Node,RBAC"},
			[]string{"--authorization-mode=Node without --enable-admission-plugins=NodeRestriction lets every node write what belongs to others"},
		},
		{
			"the arguments of kubeadm", []string{"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"}, nil,
		},
		{
			"what changes nothing is said",
			[]string{"--authorization-mode=RBAC", "--profiling=false", "--storage-backend=etcd3"},
			[]string{
				"--profiling=false changes nothing: there are no profiling endpoints",
				"--storage-backend=etcd3 changes nothing: etcd 3 is the only backend",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, notes, err := parse(t, flags.Compatible, append(base, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

// kubeFlags are the flags of kube-apiserver 1.36.3, as its help text lists them.
func TestEveryFlagOfKubeAPIServerIsKnown(t *testing.T) {
	names, err := os.ReadFile("testdata/kube-apiserver-flags.txt")
	if err != nil {
		t.Fatal(err)
	}
	set := flags.New(flags.Hardened).FlagSet()
	known := map[string]bool{"help": true, "version": true} // the command's
	set.VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
	count := 0
	for name := range strings.FieldsSeq(string(names)) {
		count++
		if !known[name] {
			t.Errorf("--%s is neither implemented nor refused by name", name)
		}
	}
	if count < 150 {
		t.Errorf("the list has %d flags, it is not whole", count)
	}
}

func TestLogShowsWhatIsInEffect(t *testing.T) {
	set := flags.New(flags.Hardened)
	if err := set.FlagSet().Parse([]string{"--secure-port=0", "--v=5"}); err != nil {
		t.Fatal(err)
	}
	opts, _, err := set.Options()
	if err != nil {
		t.Fatal(err)
	}
	if opts.LogLevel() != slog.LevelDebug {
		t.Errorf("level = %v, want debug", opts.LogLevel())
	}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("options", "flags", set)
	for _, want := range []string{"flags.secure-port=0 ", "flags.authorization-mode=[Node,RBAC]", "flags.anonymous-auth=health"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("log line lacks %q: %s", want, b.String())
		}
	}
}

// TestSwitches guards scripts that say what is so anyway, and those who would rely on what is not.
func TestSwitches(t *testing.T) {
	for name, tt := range map[string]struct {
		arg, want string // want is a part of the fault; empty if there is none
	}{
		"all versions, as the hard way asks for": {"--runtime-config=api/all=true", ""},
		"a stable version":                       {"--runtime-config=apps/v1", ""},
		"a resource of a stable version":         {"--runtime-config=apps/v1/deployments=true,v1=true", ""},
		"beta versions off":                      {"--runtime-config=api/beta=false,resource.k8s.io/v1beta1=false", ""},
		"a beta version on":                      {"--runtime-config=resource.k8s.io/v1beta1=true", "--runtime-config=resource.k8s.io/v1beta1=true: resource.k8s.io/v1beta1: alpha and beta versions"},
		"a stable version off":                   {"--runtime-config=batch/v1=false", "turning off what is served is not implemented"},
		"everything off":                         {"--runtime-config=api/all=false", "cannot be turned off"},
		"no boolean":                             {"--runtime-config=api/all=yes", "want true or false"},
		"no version":                             {"--runtime-config=/v1", "want api/all"},
		"no alpha features":                      {"--feature-gates=AllAlpha=false", ""},
		"a feature":                              {"--feature-gates=CBORServingAndStorage=true", "--feature-gates=CBORServingAndStorage=true: CBORServingAndStorage: features cannot"},
	} {
		t.Run(name, func(t *testing.T) {
			_, notes, err := parse(t, flags.Hardened, tt.arg)
			if tt.want == "" {
				if err != nil || len(notes) == 0 || !strings.Contains(notes[0], "changes nothing") {
					t.Errorf("notes %q, error %v", notes, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}
