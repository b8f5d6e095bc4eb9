package flags_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse/gatehouse/internal/flags"
)

// FuzzValue gives one flag any text: it is refused, or what the set shows for it means the same again.
func FuzzValue(f *testing.F) {
	base := []string{
		"--etcd-servers=http://127.0.0.1:2379", "--service-account-issuer=x", "--service-account-signing-key-file=k",
		"--authorization-mode=RBAC",
	}
	for _, seed := range [][2]string{
		{"bind-address", "::ffff:10.0.0.1"},
		{"bind-address", "fe80::1%eth0"},
		{"service-cluster-ip-range", "10.0.0.7/24, fd00::/112"},
		{"tls-min-version", "VersionTLS13"},
		{"anonymous-auth", "T"},
		{"etcd-servers", "https://u:p@h:1"},
		{"peer-rate-limit", "NaN"},
		{"request-timeout", "1h0.5s"},
		{"audit-log-mode", "blocking"},
		{"disable-admission-plugins", "ServiceAccount,Priority"},
		{"profile", "hardened"},
		{"v", "0x4"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		set, opts := read(base, name, value)
		if opts == nil {
			return
		}
		if err := opts.Validate(); err != nil {
			t.Fatalf("--%s=%q is accepted and not valid: %v", name, value, err)
		}
		shown := set.FlagSet().Lookup(name).Value
		switch shown.Type() {
		case "stringSlice", "stringArray", "bool", "string":
			return // these are not parsed by us
		}
		_, again := read(base, name, shown.String())
		if diff := cmp.Diff(opts, again, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Errorf("--%s=%q is shown as %q, which means something else:\n%s", name, value, shown, diff)
		}
	})
}

// read returns nil options for what is refused.
func read(base []string, name, value string) (*flags.Set, *flags.Options) {
	set := flags.New(flags.Compatible)
	if set.FlagSet().Lookup(name) == nil {
		return set, nil
	}
	args := append(append([]string(nil), base...), "--"+name+"="+value)
	if err := set.FlagSet().Parse(args); err != nil {
		return set, nil
	}
	opts, _, err := set.Options()
	if err != nil {
		return set, nil
	}
	return set, opts
}

// BenchmarkNew is most of what a command line costs before the server starts.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if flags.New(flags.Hardened).FlagSet().Lookup("profile") == nil {
			b.Fatal("no flags")
		}
	}
}
