package storage

import (
	"slices"
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

const (
	maxDriverName = 63
	maxNodeID     = 256

	minTokenSeconds = 10 * 60
	maxTokenSeconds = 1 << 32
	minPeriod       = 10 // seconds between updates of what a node can attach

	secretsWarning = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of " +
		"tokens in volume attributes"
)

// driverName asks for the name of a CSI driver or a driver of devices, of whose letters the case does not matter.
func driverName() []rules.Rule {
	return []rules.Rule{rules.Required(), rules.MaxBytes(maxDriverName), rules.Format(func(s string) []string {
		return utilvalidation.IsDNS1123Subdomain(strings.ToLower(s))
	})}
}

// CSIDriver are the defaults and rules of a CSIDriver.
func CSIDriver() *rules.Kind {
	return rules.For(rules.Spec[storagev1.CSIDriver]{
		Fields: []rules.Entry{
			rules.At("spec.attachRequired", rules.Default(true)),
			rules.At("spec.podInfoOnMount", rules.Default(false)),
			rules.At("spec.storageCapacity", rules.Default(false)),
			rules.At("spec.requiresRepublish", rules.Default(false)),
			rules.At("spec.seLinuxMount", rules.Default(false)),
			rules.At("spec.fsGroupPolicy", rules.Default(storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy),
				rules.Enum(storagev1.FileFSGroupPolicy, storagev1.NoneFSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)),
			rules.At("spec.tokenRequests", rules.Check(checkTokenRequests)),
			rules.At("spec.volumeLifecycleModes", rules.Fill(fillLifecycle), rules.Check(checkLifecycle)),
			rules.At("spec.nodeAllocatableUpdatePeriodSeconds", rules.Check(func(c *rules.Checker, v, _ *int64) {
				if *v < minPeriod {
					c.Add(field.Invalid(c.Path(), *v, "must be greater than or equal to 10 seconds"))
				}
			})),
			rules.At("spec", rules.Check(checkTokenInSecrets), rules.Check(checkAttachUnchanged)),
			rules.At("spec.volumeLifecycleModes", rules.Immutable()),
		},
		Create: func(o *storagev1.CSIDriver) { o.Spec.PreventPodSchedulingIfMissing = nil },
		Update: func(o, old *storagev1.CSIDriver) {
			if old.Spec.PreventPodSchedulingIfMissing == nil {
				o.Spec.PreventPodSchedulingIfMissing = nil
			}
			if !apiequality.Semantic.DeepEqual(o.Spec, old.Spec) { // The first generation of a driver is 0.
				o.Generation = old.Generation + 1
			}
		},
	})
}

func fillLifecycle(modes *[]storagev1.VolumeLifecycleMode) {
	if len(*modes) == 0 {
		*modes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}
	}
}

func checkLifecycle(c *rules.Checker, v, _ *[]storagev1.VolumeLifecycleMode) {
	known := []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent, storagev1.VolumeLifecycleEphemeral}
	for _, mode := range *v {
		if !slices.Contains(known, mode) {
			c.Add(field.NotSupported(c.Path(), mode, known))
		}
	}
}

func checkTokenRequests(c *rules.Checker, v, _ *[]storagev1.TokenRequest) {
	seen := map[string]bool{}
	for i, r := range *v {
		if seen[r.Audience] {
			c.Add(field.Duplicate(c.Path().Index(i).Child("audience"), r.Audience))
			continue
		}
		seen[r.Audience] = true
		if r.ExpirationSeconds == nil {
			continue
		}
		at := c.Path().Index(i).Child("expirationSeconds")
		if *r.ExpirationSeconds < minTokenSeconds {
			c.Add(field.Invalid(at, *r.ExpirationSeconds, "may not specify a duration less than 10 minutes"))
		}
		if *r.ExpirationSeconds > maxTokenSeconds {
			c.Add(field.Invalid(at, *r.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds"))
		}
	}
}

func checkTokenInSecrets(c *rules.Checker, v, old *storagev1.CSIDriverSpec) {
	switch inSecrets := v.ServiceAccountTokenInSecrets; {
	case inSecrets != nil && len(v.TokenRequests) == 0:
		c.Add(field.Invalid(c.At("serviceAccountTokenInSecrets"), *inSecrets, "serviceAccountTokenInSecrets is set but no tokenRequests are specified"))
	case inSecrets == nil && len(v.TokenRequests) > 0 && (old == nil || !apiequality.Semantic.DeepEqual(v.TokenRequests, old.TokenRequests)):
		c.Warn(secretsWarning)
	}
}

// checkAttachUnchanged keeps attachRequired, whose path in errors is not quite its name.
func checkAttachUnchanged(c *rules.Checker, v, old *storagev1.CSIDriverSpec) {
	if old != nil && !apiequality.Semantic.DeepEqual(v.AttachRequired, old.AttachRequired) {
		c.Add(field.Invalid(c.At("attachedRequired"), v.AttachRequired, validation.FieldImmutableErrorMsg))
	}
}

// CSINode are the rules of a CSINode. What was said about a driver stays, except for how many volumes it can attach.
func CSINode() *rules.Kind {
	driver := rules.Of[storagev1.CSINodeDriver](
		rules.At("name", driverName()...),
		rules.At("nodeID", rules.Required(), rules.Check(func(c *rules.Checker, v, _ *string) {
			if len(*v) > maxNodeID {
				c.Add(field.Invalid(c.Path(), *v, "must be 256 characters or less"))
			}
		})),
		rules.At("allocatable.count", rules.NonNegative()),
	)
	return rules.For(rules.Spec[storagev1.CSINode]{
		Fields: []rules.Entry{
			rules.At("spec.drivers", rules.Check(func(c *rules.Checker, v, _ *[]storagev1.CSINodeDriver) {
				seen := make(map[string]bool, len(*v))
				for i := range *v {
					rules.InIndex(c, driver, &(*v)[i], nil, i)
					checkNodeDriver(c, &(*v)[i], i, seen)
				}
			}), rules.Check(checkDriversUnchanged)),
		},
		Create: noEmptyLists,
		Update: func(o, old *storagev1.CSINode) {
			if len(o.Spec.Drivers) == 0 {
				o.Spec.Drivers = nil
			}
			keepIfSame(&o.Spec, &old.Spec)
		},
	})
}

// noEmptyLists makes empty lists none, since the stored form does not tell them apart and clients see which it is.
func noEmptyLists(o *storagev1.CSINode) {
	if len(o.Spec.Drivers) == 0 {
		o.Spec.Drivers = nil
	}
	for i := range o.Spec.Drivers {
		if d := &o.Spec.Drivers[i]; len(d.TopologyKeys) == 0 {
			d.TopologyKeys = nil
		}
	}
}

// checkNodeDriver checks that driver i is not of those seen, and its topology keys, whose errors are at the driver.
func checkNodeDriver(c *rules.Checker, d *storagev1.CSINodeDriver, i int, seen map[string]bool) {
	if seen[d.Name] {
		c.Add(field.Duplicate(c.Path().Index(i).Child("name"), d.Name))
	}
	seen[d.Name] = true
	keys := make(map[string]bool, len(d.TopologyKeys))
	for _, key := range d.TopologyKeys {
		if key == "" {
			c.Add(field.Required(c.Path().Index(i), ""))
		}
		if keys[key] {
			c.Add(field.Duplicate(c.Path().Index(i), key))
		}
		keys[key] = true
		for _, m := range utilvalidation.IsQualifiedName(key) {
			c.Add(field.Invalid(c.Path().Index(i), key, m))
		}
	}
}

func checkDriversUnchanged(c *rules.Checker, v, old *[]storagev1.CSINodeDriver) {
	if old == nil {
		return
	}
	// The names of the old ones differ, so each new one is compared at most once.
	now := make(map[string][]storagev1.CSINodeDriver, len(*v))
	for _, d := range *v {
		now[d.Name] = append(now[d.Name], d)
	}
	for _, was := range *old {
		for _, d := range now[was.Name] {
			was.Allocatable, d.Allocatable = nil, nil
			if !apiequality.Semantic.DeepEqual(d, was) {
				c.Add(field.Invalid(c.Path(), rules.Shown(d), validation.FieldImmutableErrorMsg))
			}
		}
	}
}

// CSIStorageCapacity are the rules of a CSIStorageCapacity, which stays about the same class and nodes.
func CSIStorageCapacity() *rules.Kind {
	return rules.For(rules.Spec[storagev1.CSIStorageCapacity]{Fields: []rules.Entry{
		rules.At("nodeTopology", core.LabelSelector(), rules.Check(warnNodes)),
		rules.At("storageClassName", core.ClassName()),
		rules.At("capacity", rules.Check(func(c *rules.Checker, v, _ *resource.Quantity) {
			if v.Sign() < 0 {
				c.Add(field.Invalid(c.Path(), v.String(), validation.IsNegativeErrorMsg))
			}
		})),
		rules.At("nodeTopology", rules.Immutable()),
		rules.At("storageClassName", rules.Immutable()),
	}})
}

// warnNodes warns of deprecated labels in a selector of nodes.
func warnNodes(c *rules.Checker, v, _ *metav1.LabelSelector) {
	for i, e := range v.MatchExpressions {
		if text := core.DeprecatedNodeLabel(e.Key); text != "" {
			c.Warn(c.At("matchExpressions").Index(i).Child("key").String() + ": " + e.Key + " is " + text)
		}
	}
	for name := range v.MatchLabels {
		if text := core.DeprecatedNodeLabel(name); text != "" {
			c.Warn(c.At("matchLabels", name).String() + ": " + text)
		}
	}
}
