package ratelimit_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse/gatehouse/ratelimit"
)

// TestMetrics states the series that alerts are made of.
func TestMetrics(t *testing.T) {
	peers := ratelimit.NewPeers(ratelimit.PeersConfig{Rate: .001, Burst: 1})
	clients := ratelimit.NewClients(ratelimit.ClientsConfig{Rate: .001, Burst: 1, HeldPerClient: 1})
	registry := prometheus.NewPedanticRegistry()
	for _, c := range []prometheus.Collector{peers, clients} {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	address := netip.MustParseAddr("192.0.2.1")
	for range 3 {
		peers.Allow(address)
	}
	peers.Penalize(address)
	seat, err := clients.Acquire(context.Background(), ratelimit.Client{Name: "alice"}, ratelimit.Cost{Seats: 2})
	if err != nil {
		t.Fatal(err)
	}
	seat.Charge(2 * ratelimit.BytesPerUnit)
	if _, err := clients.Acquire(context.Background(), ratelimit.Client{Name: "alice"}, ratelimit.Cost{}); err == nil {
		t.Error("a client over its rate was let through")
	}
	admin, err := clients.Acquire(context.Background(), ratelimit.Client{Name: "admin", Exempt: true}, ratelimit.Cost{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seat.Hold(); err != nil {
		t.Fatal(err)
	}
	if _, err := seat.Hold(); err == nil {
		t.Error("a second watch was let through")
	}
	if _, err := admin.Hold(); err != nil {
		t.Error(err)
	}
	want := map[string]float64{
		"gatehouse_ratelimit_peers_refused_total":           2,
		"gatehouse_ratelimit_peers_failures_total":          1,
		"gatehouse_ratelimit_clients_accounts":              1,
		"gatehouse_ratelimit_clients_seats":                 2,
		"gatehouse_ratelimit_clients_waiting":               0,
		"gatehouse_ratelimit_clients_exempt":                1,
		"gatehouse_ratelimit_clients_refused_total rate":    1,
		"gatehouse_ratelimit_clients_refused_total seats":   0,
		"gatehouse_ratelimit_clients_refused_total watches": 1,
		"gatehouse_ratelimit_clients_watches false":         1,
		"gatehouse_ratelimit_clients_watches true":          1,
		"gatehouse_ratelimit_clients_granted_total false":   1,
		"gatehouse_ratelimit_clients_granted_total true":    1,
		"gatehouse_ratelimit_clients_charged_units_total":   2,
		"gatehouse_ratelimit_clients_overflow_total":        0,
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
