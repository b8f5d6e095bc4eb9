package quota_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/quota"
)

// ranges are limit ranges of one item each.
type ranges []corev1.LimitRangeItem

func (r ranges) LimitRanges(context.Context, string) (list []*corev1.LimitRange, err error) {
	for _, item := range r {
		list = append(list, &corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{item}}})
	}
	return list, nil
}

func TestLimitsByDefault(t *testing.T) {
	l := quota.LimitRanger{Ranges: ranges{{
		Type: corev1.LimitTypeContainer, Default: list("memory", "2Gi", "cpu", "2"), DefaultRequest: list("cpu", "1"),
	}}}
	a := changedPod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{container("i")}
	}, container("a"), container("b", "cpu", "500m", "limits", "cpu", "1", "memory", "1Gi"))
	if err := l.Mutate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	got := a.Object.(*corev1.Pod)
	filled := container("", "cpu", "1", "limits", "cpu", "2", "memory", "2Gi").Resources
	want := []corev1.ResourceRequirements{filled, container("", "cpu", "500m", "limits", "cpu", "1", "memory", "1Gi").Resources, filled}
	for i, c := range append(got.Spec.Containers, got.Spec.InitContainers...) {
		if diff := cmp.Diff(want[i], c.Resources); diff != "" {
			t.Errorf("%s: %s", c.Name, diff)
		}
	}
	const note = "LimitRanger plugin set: cpu request for container a; cpu, memory limit for container a; " +
		"cpu request for init container i; cpu, memory limit for init container i"
	if got.Annotations["kubernetes.io/limit-ranger"] != note {
		t.Errorf("note: %s", got.Annotations["kubernetes.io/limit-ranger"])
	}
}

func TestLimits(t *testing.T) {
	perContainer := func(change func(*corev1.LimitRangeItem)) ranges {
		item := corev1.LimitRangeItem{Type: corev1.LimitTypeContainer}
		change(&item)
		return ranges{item}
	}
	least := perContainer(func(i *corev1.LimitRangeItem) { i.Min = list("cpu", "1") })
	most := perContainer(func(i *corev1.LimitRangeItem) { i.Max = list("cpu", "2") })
	ratio := perContainer(func(i *corev1.LimitRangeItem) { i.MaxLimitRequestRatio = list("cpu", "2") })
	inAll := ranges{{Type: corev1.LimitTypePod, Max: list("cpu", "2")}}
	disk := ranges{{Type: corev1.LimitTypePersistentVolumeClaim, Min: list("storage", "1Gi"), Max: list("storage", "2Gi")}}
	const pods, claims = `pods "p" is forbidden: `, `persistentvolumeclaims "p" is forbidden: `
	claimOf := func(size string) *admission.Attributes {
		return creation("PersistentVolumeClaim", "persistentvolumeclaims", claim("", size))
	}
	for name, test := range map[string]struct {
		ranges  ranges
		a       *admission.Attributes
		message string
	}{
		"no request":            {least, podCreation(container("a")), pods + "minimum cpu usage per Container is 1.  No request is specified"},
		"a small request":       {least, podCreation(container("a", "cpu", "999m")), pods + "minimum cpu usage per Container is 1, but request is 999m"},
		"a small limit":         {least, podCreation(container("a", "cpu", "1", "limits", "cpu", "900m")), pods + "minimum cpu usage per Container is 1, but limit is 900m"},
		"enough":                {least, podCreation(container("a", "cpu", "1")), ""},
		"no limit":              {most, podCreation(container("a", "cpu", "1")), pods + "maximum cpu usage per Container is 2.  No limit is specified"},
		"a large limit":         {most, podCreation(container("a", "limits", "cpu", "3")), pods + "maximum cpu usage per Container is 2, but limit is 3"},
		"a large request":       {most, podCreation(container("a", "cpu", "3", "limits", "cpu", "2")), pods + "maximum cpu usage per Container is 2, but request is 3"},
		"a ratio without one":   {ratio, podCreation(container("a", "limits", "cpu", "1")), pods + "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"},
		"a ratio without limit": {ratio, podCreation(container("a", "cpu", "1")), pods + "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0"},
		"a high ratio":          {ratio, podCreation(container("a", "cpu", "1", "limits", "cpu", "2500m")), pods + "cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000"},
		"too much together":     {inAll, podCreation(container("a", "limits", "cpu", "1"), container("b", "limits", "cpu", "1500m")), pods + "maximum cpu usage per Pod is 2, but limit is 2500m"},
		"two faults":            {ranges{least[0], most[0]}, podCreation(container("a")), pods + "minimum cpu usage per Container is 1.  No request is specified"},
		"two faults in a range": {perContainer(func(i *corev1.LimitRangeItem) { i.Min, i.Max = list("cpu", "1"), list("cpu", "2") }), podCreation(container("a")), pods + "[minimum cpu usage per Container is 1.  No request is specified, maximum cpu usage per Container is 2.  No limit is specified]"},
		"a small claim":         {disk, claimOf("1Mi"), claims + "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"},
		"a large claim":         {disk, claimOf("3Gi"), claims + "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"},
		"an update of a pod":    {least, updateOf(podCreation(container("a")), pod(container("a")), ""), ""},
		"a resize":              {least, updateOf(podCreation(container("a", "cpu", "1m")), pod(container("a")), "resize"), pods + "minimum cpu usage per Container is 1, but request is 1m"},
		"a claim that is going": {disk, updateOf(claimOf("1Mi"), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{}}}, ""), ""},
		"amounts beyond thousandths": {
			perContainer(func(i *corev1.LimitRangeItem) { i.Min = list("memory", "1Ei") }),
			podCreation(container("a", "memory", "1023Pi")), pods + "minimum memory usage per Container is 1Ei, but request is 1023Pi",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, message := refusal(t, quota.LimitRanger{Ranges: test.ranges}.Validate(t.Context(), test.a)); message != test.message {
				t.Errorf("got  %s\nwant %s", message, test.message)
			}
		})
	}
}

// FuzzCharge checks that what is charged is what the pod asks for, and that a quota is never overshot, whatever the amounts.
func FuzzCharge(f *testing.F) {
	f.Add("1", "2", "1500m")
	f.Add("9223372036854775807", "1", "1n")
	f.Add("-1", "0", "1Ei")
	f.Fuzz(func(t *testing.T, hard, used, request string) {
		var parsed [3]resource.Quantity
		for i, text := range []string{hard, used, request} {
			q, err := resource.ParseQuantity(text)
			if err != nil || len(text) > 40 {
				t.Skip()
			}
			parsed[i] = q
		}
		q := limit("q", "requests.cpu", "0")
		q.Status.Hard["requests.cpu"], q.Status.Used["requests.cpu"] = parsed[0], parsed[1]
		b := &books{quotas: []*corev1.ResourceQuota{q}}
		c := container("a")
		c.Resources.Requests = corev1.ResourceList{"cpu": parsed[2]}
		before := parsed[1].DeepCopy()
		err := plugin(b, things{}).Validate(t.Context(), podCreation(c))
		after := b.quotas[0].Status.Used["requests.cpu"]
		if grew := after.Cmp(before) > 0; grew && (err != nil || after.Cmp(parsed[0]) > 0) {
			t.Errorf("%s of %s are used after %s and %s: %v", after.String(), hard, used, request, err)
		}
		if before.Cmp(q.Status.Used["requests.cpu"]) != 0 {
			t.Error("the quota that was given has been changed")
		}
	})
}
