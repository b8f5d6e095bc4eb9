package cel

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/ext"
	lru "github.com/hashicorp/golang-lru/v2"
	resourcev1 "k8s.io/api/resource/v1"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/library"
)

// deviceName is the one variable of expressions that select devices.
const deviceName = "device"

// Devices compiles expressions that select devices. It is safe for concurrent use, and costs nothing until it is used.
type Devices struct {
	scope *Scope
	sizes checker.CostEstimator
	known func() *lru.Cache[string, judged] // by expression: claims made of templates repeat theirs
}

// judged is what compiling an expression said.
type judged struct {
	cost uint64
	err  error
}

// maxKnown bounds the expressions that are remembered, each of which has at most 10 KiB.
const maxKnown = 256

// NewDevices returns a compiler of such expressions.
func NewDevices() *Devices {
	device, attribute := deviceType()
	return &Devices{
		scope: NewScope().extended([]Variable{{Name: deviceName, Object: device}}, []cel.EnvOption{ext.Bindings(ext.BindingsVersion(0))}),
		sizes: &library.CostEstimator{SizeEstimator: &deviceSizes{device, attribute}},
		known: sync.OnceValue(func() *lru.Cache[string, judged] {
			known, _ := lru.New[string, judged](maxKnown) // fails only for a size below 1
			return known
		}),
	}
}

// Compile checks an expression, which must say yes or no or be a value whose type is not known before it is evaluated, and returns the
// most that it can cost for one device. The error is an [*Error].
func (d *Devices) Compile(expression string, mode Mode) (cost uint64, err error) {
	key := string(mode) + " " + expression
	if j, ok := d.known().Get(key); ok {
		return j.cost, j.err
	}
	cost, err = d.compile(expression, mode)
	d.known().Add(key, judged{cost, err})
	return cost, err
}

func (d *Devices) compile(expression string, mode Mode) (cost uint64, err error) {
	p, err := d.scope.Compile(expression, mode)
	if err != nil {
		return 0, err
	}
	if t := p.Type(); t != cel.BoolType && t != cel.AnyType {
		return 0, &Error{Type: apiservercel.ErrorTypeInvalid, Detail: fmt.Sprintf("must evaluate to %v or the unknown type, not %v", cel.BoolType, t)}
	}
	cost, err = p.MaxCost(d.sizes)
	if err != nil {
		return 0, &Error{Type: apiservercel.ErrorTypeInternal, Detail: "cost estimation failed: " + err.Error(), Cause: err}
	}
	return cost, nil
}

// deviceType is the type of a device, whose parts have the bounds that the kinds of the API give them, and that of one attribute.
func deviceType() (device, attribute *apiservercel.DeclType) {
	domain, id := atMost(apiservercel.StringType, resourcev1.DeviceMaxDomainLength), atMost(apiservercel.StringType, resourcev1.DeviceMaxIDLength)
	attribute = atMost(apiservercel.AnyType, resourcev1.DeviceAttributeMaxValueLength)
	byName := func(t *apiservercel.DeclType) *apiservercel.DeclType {
		const most = resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice
		return apiservercel.NewMapType(domain, apiservercel.NewMapType(id, t, most), most)
	}
	return object("DRADevice", fields{
		"driver": atMost(apiservercel.StringType, resourcev1.DriverNameMaxLength), "attributes": byName(attribute),
		"capacity": byName(apiservercel.QuantityDeclType), "allowMultipleAllocations": atMost(apiservercel.BoolType, 1),
	}), attribute
}

func atMost(t *apiservercel.DeclType, size int64) *apiservercel.DeclType {
	bounded := *t
	bounded.MaxElements = size
	return &bounded
}

// deviceSizes tells the estimator how large the parts of a device can be.
type deviceSizes struct{ device, attribute *apiservercel.DeclType }

// EstimateSize implements checker.CostEstimator: it follows the path of an expression into the type.
func (s *deviceSizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	path := element.Path()
	if len(path) == 0 || path[0] != deviceName {
		return nil
	}
	at := s.device
	for _, name := range path[1:] {
		next := (*apiservercel.DeclType)(nil)
		switch f := at.Fields[name]; {
		case name == "@items" || name == "@values":
			next = at.ElemType
		case name == "@keys":
			next = at.KeyType
		case f != nil:
			next = f.Type
		case at.ElemType == s.attribute: // any name of an attribute
			next = s.attribute
		}
		if next == nil {
			return nil
		}
		at = next
	}
	return &checker.SizeEstimate{Max: uint64(at.MaxElements)}
}

// EstimateCallCost implements checker.CostEstimator.
func (*deviceSizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
