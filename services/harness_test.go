package services_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/services"
	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// registry keeps the objects of a test in a real etcd, without caches: what one allocator has taken, all know at once, unless the test
// makes them blind.
type registry struct {
	etcd   *store.Etcd
	blind  bool // Taken knows nothing, as a server's cache that is behind
	client *clientv3.Client

	mu       sync.Mutex // guards the fields below
	cidrs    []*networkingv1.ServiceCIDR
	services []*corev1.Service
	clock    time.Time
}

func newRegistry(t *testing.T, cidrs ...string) *registry {
	t.Helper()
	etcd, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	r := &registry{etcd: store.NewEtcd(etcd.Client(), "/registry"), client: etcd.Client(), clock: time.Now()}
	r.cidrs = append(r.cidrs, cidr(services.DefaultCIDR, cidrs...))
	return r
}

func cidr(name string, ranges ...string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: ranges}}
}

const addressPrefix = "/registry/ipaddresses/"

func (r *registry) Taken(name string) bool {
	if r.blind {
		return false
	}
	_, found, _, _ := r.etcd.Get(context.Background(), addressPrefix+name)
	return found
}

func (r *registry) Create(ctx context.Context, ip *networkingv1.IPAddress) error {
	r.mu.Lock()
	ip.CreationTimestamp = metav1.NewTime(r.clock)
	r.mu.Unlock()
	value, err := json.Marshal(ip)
	if err != nil {
		return err
	}
	if _, err = r.etcd.Create(ctx, addressPrefix+ip.Name, value, 0); errors.Is(err, store.ErrExists) {
		return services.ErrTaken
	}
	return err
}

func (r *registry) Delete(ctx context.Context, name string, _ types.UID) error {
	_, err := r.client.Delete(ctx, addressPrefix+name)
	return err
}

func (r *registry) CIDRs(context.Context, bool) ([]*networkingv1.ServiceCIDR, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cidrs, nil
}

func (r *registry) Services(context.Context) ([]*corev1.Service, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.services, nil
}

func (r *registry) IPAddresses(ctx context.Context) ([]*networkingv1.IPAddress, error) {
	kvs, _, _, err := r.etcd.Range(ctx, addressPrefix, "", 0, 0)
	var list []*networkingv1.IPAddress
	for _, kv := range kvs {
		ip := &networkingv1.IPAddress{}
		if err := json.Unmarshal(kv.Value, ip); err != nil {
			return nil, err
		}
		list = append(list, ip)
	}
	return list, err
}

func (r *registry) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock
}

// add stores a Service.
func (r *registry) add(svc *corev1.Service) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.services = append(r.services, svc)
}

// taken are the addresses in etcd, in the order of their names.
func (r *registry) taken(t *testing.T) []string {
	t.Helper()
	ips, err := r.IPAddresses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, ip := range ips {
		list = append(list, ip.Name)
	}
	return list
}

// cell is the value of the node ports.
type cell struct{ etcd *store.Etcd }

const portKey = "/registry/ranges/servicenodeports"

func (c cell) Get(ctx context.Context) ([]byte, int64, error) {
	kv, _, _, err := c.etcd.Get(ctx, portKey)
	return kv.Value, kv.Revision, err
}

func (c cell) Swap(ctx context.Context, value []byte, revision int64) (bool, int64, error) {
	var now int64
	var err error
	if revision == 0 {
		now, err = c.etcd.Create(ctx, portKey, value, 0)
	} else {
		now, _, err = c.etcd.Update(ctx, portKey, value, revision, 0)
	}
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
		return false, 0, nil
	}
	return err == nil, now, err
}

// allocator makes an allocator on the registry, as one server has it, for the families of its default CIDR.
func (r *registry) allocator(t *testing.T, ports utilnet.PortRange) *services.Allocator {
	t.Helper()
	var families []corev1.IPFamily
	for _, text := range r.cidrs[0].Spec.CIDRs {
		f := corev1.IPv6Protocol
		if netip.MustParsePrefix(text).Addr().Is4() {
			f = corev1.IPv4Protocol
		}
		families = append(families, f)
	}
	a := services.New(services.Config{
		Families: families, Ports: ports, Addresses: r, Objects: r, PortCell: cell{r.etcd}, Now: r.now,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err := a.RepairPorts(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// defaultPorts is the default range of node ports.
func defaultPorts() utilnet.PortRange { return utilnet.PortRange{Base: 30000, Size: 2768} }

// service makes a Service of a spec.
func service(name string, spec corev1.ServiceSpec) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: spec}
}

// create allocates for a new Service and commits it.
func create(t *testing.T, a *services.Allocator, svc *corev1.Service) *corev1.Service {
	t.Helper()
	finish, err := a.Allocate(t.Context(), svc, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	finish(t.Context(), true)
	return svc
}

// message is what the client is told, empty for no error.
func message(err error) string {
	if err == nil {
		return ""
	}
	return api.ToError(err).Status.Message
}

func ptr[T any](v T) *T { return &v }
