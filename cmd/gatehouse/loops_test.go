package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestIdentityName checks the name that the reference gives to a server on a machine called vm.
func TestIdentityName(t *testing.T) {
	if got := newIdentity("vm").name; got != "apiserver-wlv32tlttr4jl3gtroqexyxapa" {
		t.Errorf("name = %s", got)
	}
}

// TestFlowIsKept checks whose word counts on a flow control object that exists.
func TestFlowIsKept(t *testing.T) {
	tests := []struct {
		name       string
		force      bool
		annotation string
		generation int64
		changed    bool
		shares     int32
		want       string // the annotation afterwards
	}{
		{"the server's own, changed by somebody", false, "true", 2, true, 30, "true"},
		{"somebody's", false, "false", 2, false, 7, "false"},
		{"somebody's, but one that the server cannot do without", true, "false", 2, true, 30, "true"},
		{"without an annotation, never changed", false, "", 1, true, 30, "true"},
		{"without an annotation, changed by somebody", false, "", 2, true, 7, "false"},
		{"with an annotation that says nothing", false, "perhaps", 2, true, 7, "false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			existing := limitedLevel("system", 7, 33, 64, 6)
			existing.Generation = tt.generation
			existing.Annotations = nil
			if tt.annotation != "" {
				existing.Annotations = map[string]string{flowcontrolv1.AutoUpdateAnnotationKey: tt.annotation}
			}
			update, changed := reconcileFlow(tt.force)(existing, limitedLevel("system", 30, 33, 64, 6))
			if changed != tt.changed {
				t.Errorf("changed = %v", changed)
			}
			got := update.(*flowcontrolv1.PriorityLevelConfiguration)
			if shares := *got.Spec.Limited.NominalConcurrencyShares; shares != tt.shares {
				t.Errorf("shares = %d, want %d", shares, tt.shares)
			}
			if a := got.Annotations[flowcontrolv1.AutoUpdateAnnotationKey]; a != tt.want {
				t.Errorf("annotation %q, want %q", a, tt.want)
			}
		})
	}
}

// TestFlowSchemasHaveLevels checks that no default schema is dangling, and what is said of one that is.
func TestFlowSchemasHaveLevels(t *testing.T) {
	levels := map[string]bool{}
	suggested, mandatory := flowLevels()
	for _, l := range append(suggested, mandatory...) {
		levels[l.Name] = true
	}
	schemas, byForce := flowSchemas()
	for _, s := range append(schemas, byForce...) {
		if !levels[s.Spec.PriorityLevelConfiguration.Name] {
			t.Errorf("%s refers to %s", s.Name, s.Spec.PriorityLevelConfiguration.Name)
		}
	}
	now := time.Unix(1e9, 0)
	s := flowSchema("x", "nowhere", 1, "", flowEverything(nil))
	got, news := dangling(s, true, now)
	s.Status.Conditions = append(s.Status.Conditions, got)
	if _, again := dangling(s, true, now.Add(time.Hour)); !news || again {
		t.Error("the condition is not set once")
	}
	if _, again := dangling(s, false, now); !again {
		t.Error("the condition stays when the level appears")
	}
	want := []flowcontrolv1.FlowSchemaCondition{{
		Type: "Dangling", Status: "True", Reason: "NotFound", LastTransitionTime: metav1.NewTime(now),
		Message: `This FlowSchema references the PriorityLevelConfiguration object named "nowhere" but there is no such object`,
	}}
	if diff := cmp.Diff(want, s.Status.Conditions); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

// TestMergeCertificates checks that authorities of several servers are published once each, and not after their end.
func TestMergeCertificates(t *testing.T) {
	now := time.Now()
	one, two, old := authority(t, 1, now.Add(time.Hour)), authority(t, 2, now.Add(time.Hour)), authority(t, 3, now.Add(-time.Hour))
	text := bytes.Join([][]byte{one, []byte("a comment\n"), old, two, one}, []byte("\n"))
	if diff := cmp.Diff(string(one)+string(two), string(mergeCertificates(text, now))); diff != "" {
		t.Errorf("certificates (-want +got):\n%s", diff)
	}
}

func authority(t *testing.T, serial int64, until time.Time) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: until.Add(-24 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestUndecodableObjectsAreNotAbsent guards what they have: a repair that does not know of them would give it to others.
func TestUndecodableObjectsAreNotAbsent(t *testing.T) {
	p := startResources(t)
	objects := &serviceObjects{p: p}
	lists := map[string]func() error{
		"services/specs/ns/x":  func() error { _, err := objects.Services(t.Context()); return err },
		"ipaddresses/10.0.0.1": func() error { _, err := objects.IPAddresses(t.Context()); return err },
	}
	for key, list := range lists {
		if err := list(); err != nil {
			t.Errorf("%s: before: %v", key, err)
		}
		if _, err := p.mirror.Etcd().Create(t.Context(), p.mirror.Etcd().Prefix()+"/"+key, []byte("{"), 0); err != nil {
			t.Fatal(err)
		}
		if err := list(); !errors.Is(err, errUndecodable) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	key := p.mirror.Etcd().Prefix() + "/servicecidrs/x"
	if _, err := p.mirror.Etcd().Create(t.Context(), key, []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.CIDRs(t.Context(), true); err != nil {
		t.Errorf("Services cannot be made because of one ServiceCIDR: %v", err)
	}
}
