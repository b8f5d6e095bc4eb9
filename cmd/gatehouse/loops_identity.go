package main

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// Every server has a Lease in kube-system by which others see that it is there.

const (
	identitySeconds = 3600 // how long a server is believed to be there after it last said so
	identityLabel   = "apiserver.kubernetes.io/identity"
	identityName    = "kube-apiserver"
)

// identity names this server to others.
type identity struct{ name, holder, hostname string }

// newIdentity derives the name from that of the machine; the holder is another one for each run.
func newIdentity(hostname string) identity {
	var b []byte
	for _, part := range []string{hostname, identityName} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(part))) //nolint:gosec // Names of machines are short.
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	name := "apiserver-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
	return identity{name: name, holder: name + "_" + uuid.NewString(), hostname: hostname}
}

func identityInfo(name string) api.RequestInfo {
	info := objectOf(coordinationv1.GroupName, "leases", name)
	info.Namespace = metav1.NamespaceSystem
	return info
}

// renewIdentity says that this server is there.
func (p *parts) renewIdentity(ctx context.Context) error {
	c := because("server identity")
	info := identityInfo(p.self.name)
	o, found, err := p.read(ctx, c.why, info, "")
	if err != nil {
		return err
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: p.self.name, Namespace: metav1.NamespaceSystem}}
	verb := "create"
	if found {
		lease, verb = o.(*coordinationv1.Lease), "update"
	}
	put := func(m *map[string]string, key, value string) {
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[key] = value
	}
	put(&lease.Labels, identityLabel, identityName)
	put(&lease.Labels, corev1.LabelHostname, p.self.hostname)
	if address, ok := p.advertised(); ok || address.IsValid() {
		put(&lease.Annotations, corev1.AnnotationPeerAdvertiseAddress, net.JoinHostPort(address.String(), strconv.Itoa(int(p.port()))))
	}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = &p.self.holder, ptr[int32](identitySeconds)
	lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()}
	return ignoreConflict(p.write(ctx, c, verb, info, resource.Object(lease)))
}

// leaveIdentity takes the Lease away, so that nobody counts on this server.
func (p *parts) leaveIdentity(ctx context.Context) error {
	return p.remove(ctx, because("server identity"), identityInfo(p.self.name), metav1.DeleteOptions{})
}

// dropIdentities deletes the Leases of servers that have not been there for an hour.
func (p *parts) dropIdentities(ctx context.Context) error {
	c := because("server identity")
	for _, lease := range cached[*coordinationv1.Lease](p.resources, resourceOf(coordinationv1.GroupName, "leases")) {
		if lease.Namespace != metav1.NamespaceSystem || lease.Labels[identityLabel] != identityName || !expired(lease, time.Now()) {
			continue
		}
		// A Lease renewed meanwhile is another revision and stays.
		o := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion}}
		if err := ignoreConflict(p.remove(ctx, c, identityInfo(lease.Name), o)); err != nil {
			return err
		}
	}
	return nil
}

func expired(lease *coordinationv1.Lease, now time.Time) bool {
	s := lease.Spec
	return s.RenewTime == nil || s.LeaseDurationSeconds == nil ||
		s.RenewTime.Add(time.Duration(*s.LeaseDurationSeconds)*time.Second).Before(now)
}

// hostname is the name of the machine, or one that stands for it.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}
