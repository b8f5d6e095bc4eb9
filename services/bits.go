package services

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/net"
)

// The lower part of the range, which ports are taken from last, is a thirty-second of it within these bounds.
const (
	minStaticPorts = 16
	maxStaticPorts = 128
	staticPortPart = 32
)

// staticPorts is the size of the lower part.
func staticPorts(r net.PortRange) int {
	if r.Size <= minStaticPorts {
		return 0
	}
	return min(max(r.Size/staticPortPart, minStaticPorts), maxStaticPorts)
}

// bits say which ports of a range are taken: the bit of the first port is the lowest.
type bits struct {
	of  net.PortRange
	set *big.Int
}

func newBits(r net.PortRange) bits { return bits{r, new(big.Int)} }

func (b bits) clone() bits { return bits{b.of, new(big.Int).Set(b.set)} }

func (b bits) has(port int) bool { return b.of.Contains(port) && b.set.Bit(port-b.of.Base) == 1 }

// take takes a port.
func (b bits) take(port int) error {
	switch {
	case !b.of.Contains(port):
		return errPortNotInRange(b.of)
	case b.has(port):
		return errPortTaken
	}
	b.set.SetBit(b.set, port-b.of.Base, 1)
	return nil
}

// free gives a port back; one that is free or not of the range stays as it is.
func (b bits) free(port int) {
	if b.of.Contains(port) {
		b.set.SetBit(b.set, port-b.of.Base, 0)
	}
}

// next takes any port: a random free one of the upper part, and of the lower if there is none.
func (b bits) next() (int, error) {
	static, size := staticPorts(b.of), b.of.Size
	for _, part := range [][2]int{{static, size - static}, {0, static}} {
		from, n := part[0], part[1]
		if n == 0 {
			continue
		}
		start := rand.IntN(n)
		for i := range n {
			if at := from + (start+i)%n; b.set.Bit(at) == 0 {
				b.set.SetBit(b.set, at, 1)
				return b.of.Base + at, nil
			}
		}
	}
	return 0, errFull
}

// all are the ports that are taken, lowest first.
func (b bits) all() []int {
	var ports []int
	for i := range b.set.BitLen() {
		if b.set.Bit(i) == 1 {
			ports = append(ports, b.of.Base+i)
		}
	}
	return ports
}

// valueMagic begins a stored protobuf value.
const valueMagic = "k8s\x00"

// maxBitsBytes bounds the stored bits: a bit for every port there is.
const maxBitsBytes = 65536 / 8

// encode is the stored form: a RangeAllocation in protobuf, as the reference writes it. Servers of both kinds may share one etcd.
func (b bits) encode() ([]byte, error) {
	raw, err := (&corev1.RangeAllocation{Range: b.of.String(), Data: b.set.Bytes()}).Marshal()
	if err != nil {
		return nil, err
	}
	value, err := (&runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "RangeAllocation"}, Raw: raw}).Marshal()
	return append([]byte(valueMagic), value...), err
}

// decodeBits reads a stored value. Bits beyond the range it names are refused.
func decodeBits(value []byte) (bits, error) {
	body, ok := bytes.CutPrefix(value, []byte(valueMagic))
	if !ok {
		return bits{}, errors.New("the stored node ports are not in the protobuf storage format")
	}
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(body); err != nil {
		return bits{}, fmt.Errorf("stored node ports: %w", err)
	}
	var stored corev1.RangeAllocation
	if err := stored.Unmarshal(envelope.Raw); err != nil {
		return bits{}, fmt.Errorf("stored node ports: %w", err)
	}
	r, err := net.ParsePortRange(stored.Range)
	if err != nil || r.Size == 0 {
		return bits{}, fmt.Errorf("stored node ports: %q is no range of ports", stored.Range)
	}
	if len(stored.Data) > maxBitsBytes {
		return bits{}, fmt.Errorf("stored node ports: %d bytes of bits", len(stored.Data))
	}
	b := bits{*r, new(big.Int).SetBytes(stored.Data)}
	if b.set.BitLen() > r.Size {
		return bits{}, fmt.Errorf("stored node ports: bits beyond the range %s", r)
	}
	return b, nil
}
