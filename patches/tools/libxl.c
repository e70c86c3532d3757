/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libxl as the patches leave it, asked for guests without messages, with them,
 * with an rVIC, and with devices of the host's: what it tells Xen, and which device tree and ACPI tables it makes. Says what is
 * wrong, if anything, and that is its exit status. Compiled for arm64 against a
 * tree's libxl; of one without the patches it only shows the guests of before.
 *
 * In the directory that is its argument it leaves the trees and tables of those.
 */

#include "libxl_internal.h"

/* What is not the same twice, or goes to Xen, is done here. */
#define libxl__random_bytes no_random_bytes
#define xc_dom_devicetree_mem keep_tree
#define libxl__domain_set_paging_mempool_size no_mempool
#define xc_domain_set_vgic_limits take_limits

static int no_random_bytes(libxl__gc *gc, uint8_t *buf, size_t len);
static int keep_tree(struct xc_dom_image *dom, const void *tree, size_t size);
static int no_mempool(libxl__gc *gc, libxl_domain_config *d_config,
                      uint32_t domid);
#ifdef LIBXL_HAVE_BUILDINFO_ARM_MSI
static int take_limits(xc_interface *xch, uint32_t domid,
                       const struct xen_domctl_vgic_limits *limits);
#endif

#include "libxl_arm.c"

static unsigned int faults;

static void broken(const char *guest, const char *what)
{
    fprintf(stderr, "%s: %s\n", guest, what);
    faults++;
}

#define HOLDS(guest, condition) do { \
    if (!(condition)) \
        broken(guest, #condition); \
} while (0)

/* Xen ************************************************************************/

static struct xc_dom_image *image;

static int no_random_bytes(libxl__gc *gc, uint8_t *buf, size_t len)
{
    memset(buf, 0, len);
    return 0;
}

static int keep_tree(struct xc_dom_image *dom, const void *tree, size_t size)
{
    dom->devicetree_blob = (void *)tree;
    dom->devicetree_size = size;
    return 0;
}

static int no_mempool(libxl__gc *gc, libxl_domain_config *d_config,
                      uint32_t domid)
{
    return 0;
}

/* A guest ********************************************************************/

static libxl_ctx context;
static libxl__gc gc[1];
static libxl_domain_config config;
static libxl__domain_build_state state;
static struct xen_domctl_createdomain create;
static const libxl_physinfo host;

static void begin(libxl_gic_version gic)
{
    libxl_domain_build_info *info = &config.b_info;

    libxl_domain_config_init(&config);
    config.c_info.passthrough = LIBXL_PASSTHROUGH_DISABLED;
    libxl_domain_build_info_init_type(info, LIBXL_DOMAIN_TYPE_PVH);
    info->max_vcpus = 2;
    info->arch_arm.gic_version = gic;
    libxl_defbool_set(&info->acpi, true);
    memset(&create, 0, sizeof(create));
    state.clock_frequency = 0;
    image = libxl__zalloc(gc, sizeof(*image));
    image->guest_type = (char *)"xen-3.0-aarch64";
}

/* How far libxl comes with it: 0, or the step that refuses. */
static int make(void)
{
    if (libxl__arch_domain_build_info_setdefault(gc, &config.b_info, &host))
        return 1;

    if (libxl__arch_domain_prepare_config(gc, &config, &create))
        return 2;

    /* As Xen gives it back. */
    if (libxl__arch_domain_save_config(gc, &config, &state, &create))
        return 3;

    if (libxl__arch_domain_create(gc, &config, &state, 1))
        return 3;

    if (libxl__prepare_dtb(gc, &config, &state, image))
        return 4;

    if (!libxl_defbool_val(config.b_info.acpi))
        return 0;

    return libxl__prepare_acpi(gc, &config.b_info, image) ? 5 : 0;
}

static void leave(const char *directory, const char *name, const void *data,
                  size_t size)
{
    FILE *file = fopen(GCSPRINTF("%s/%s", directory, name), "wb");

    if (!file || fwrite(data, 1, size, file) != size || fclose(file))
        broken(name, "cannot be written");
}

/* Those of before: the same trees and tables, byte for byte. */
static void without(const char *directory, libxl_gic_version gic, const char *name)
{
    begin(gic);
    HOLDS(name, make() == 0);
    HOLDS(name, create.flags == 0);
    leave(directory, GCSPRINTF("%s.dtb", name), image->devicetree_blob,
          image->devicetree_size);
    leave(directory, GCSPRINTF("%s.acpi", name), image->acpi_modules[0].data,
          image->acpi_modules[0].length);
}

#ifdef LIBXL_HAVE_BUILDINFO_ARM_MSI

static unsigned int calls;
static struct xen_domctl_vgic_limits taken;
static int refusal;

static int take_limits(xc_interface *xch, uint32_t domid,
                       const struct xen_domctl_vgic_limits *limits)
{
    calls++;
    taken = *limits;
    errno = refusal;
    return refusal ? -1 : 0;
}

/* Is this property of these cells? */
static bool cells(int node, const char *name, unsigned int count,
                  const uint32_t *wanted)
{
    int size;
    const fdt32_t *have = fdt_getprop(image->devicetree_blob, node, name, &size);

    if (!have || size != count * sizeof(*have))
        return false;

    for (unsigned int i = 0; i < count; i++)
        if (fdt32_to_cpu(have[i]) != wanted[i])
            return false;

    return true;
}

#define CELLS(node, name, ...) ({ \
    const uint32_t wanted[] = { __VA_ARGS__ }; \
    cells(node, name, ARRAY_SIZE(wanted), wanted); \
})

static bool empty(int node, const char *name)
{
    int size;

    return fdt_getprop(image->devicetree_blob, node, name, &size) && !size;
}

static bool no_property(int node, const char *name)
{
    return !fdt_getprop(image->devicetree_blob, node, name, NULL);
}

/* The only entry of this type in the MADT, which has to be whole. */
static const uint8_t *entry(const char *guest, uint8_t type)
{
    const uint8_t *found = NULL, *table = image->acpi_modules[0].data;
    const uint8_t *end = table + image->acpi_modules[0].length;
    uint32_t size;
    uint8_t sum = 0;

    while (table + 44 <= end && memcmp(table, "APIC", 4))
        table++;

    if (table + 44 > end) {
        broken(guest, "there is no MADT");
        return NULL;
    }

    memcpy(&size, table + 4, sizeof(size));
    HOLDS(guest, size <= end - table);
    for (uint32_t i = 0; i < size; i++)
        sum += table[i];
    HOLDS(guest, sum == 0);

    for (end = table + size, table += 44; table < end; table += table[1]) {
        if (table + 2 > end || table[1] < 2 || table + table[1] > end) {
            broken(guest, "an entry of the MADT is none");
            return NULL;
        }
        if (table[0] == type) {
            HOLDS(guest, !found);
            found = table;
        }
    }
    return found;
}

static void v2m(void)
{
    const char *guest = "GICv2m";
    const uint8_t *madt;
    uint64_t address;
    int gic, frame;

    begin(LIBXL_GIC_VERSION_V2);
    libxl_defbool_set(&config.b_info.arch_arm.msi, true);
    calls = 0;
    HOLDS(guest, make() == 0);
    HOLDS(guest, create.flags == XEN_DOMCTL_CDF_arm_msi);
    /* Xen adds those of the frame. */
    HOLDS(guest, create.arch.nr_spis == 0);
    HOLDS(guest, calls == 0);

    gic = fdt_path_offset(image->devicetree_blob, "/interrupt-controller@3001000");
    frame = fdt_subnode_offset(image->devicetree_blob, gic, "v2m@8020000");
    HOLDS(guest, CELLS(gic, "#address-cells", 2));
    HOLDS(guest, CELLS(gic, "#size-cells", 2));
    HOLDS(guest, empty(gic, "ranges"));
    HOLDS(guest, CELLS(gic, "phandle", GUEST_PHANDLE_GIC));
    HOLDS(guest, fdt_node_check_compatible(image->devicetree_blob, frame,
                                           "arm,gic-v2m-frame") == 0);
    HOLDS(guest, CELLS(frame, "reg", 0, 0x08020000, 0, 0x1000));
    HOLDS(guest, empty(frame, "msi-controller"));
    HOLDS(guest, no_property(frame, "#msi-cells"));
    HOLDS(guest, CELLS(frame, "phandle", 65002));

    /* ACPI 6.3, 5.2.12.16: GIC MSI Frame. */
    madt = entry(guest, 0xd);
    HOLDS(guest, madt && madt[1] == 24);
    if (!madt)
        return;
    memcpy(&address, madt + 8, sizeof(address));
    HOLDS(guest, address == 0x08020000);
    /* Flags, SPI Count and SPI Base. */
    HOLDS(guest, !memcmp(madt + 16, "\0\0\0\0\0\0\0\0", 8));
}

static void its(void)
{
    const char *guest = "ITS";
    const uint8_t *madt;
    uint64_t address;
    int gic, node;

    begin(LIBXL_GIC_VERSION_V3);
    libxl_defbool_set(&config.b_info.arch_arm.msi, true);
    config.b_info.arch_arm.msi_lpis = 100;
    config.b_info.arch_arm.msi_events = 300;
    config.b_info.arch_arm.vgic_storm_rate = LIBXL_VGIC_STORM_UNLIMITED;
    calls = 0;
    HOLDS(guest, make() == 0);
    HOLDS(guest, create.flags == XEN_DOMCTL_CDF_arm_msi);
    HOLDS(guest, calls == 1);
    HOLDS(guest, taken.lpis == 100 && !taken.devices && taken.events == 300);
    HOLDS(guest, taken.storm_rate == XEN_DOMCTL_VGIC_STORM_UNLIMITED);
    HOLDS(guest, !taken.storm_burst && !taken.pad);

    gic = fdt_path_offset(image->devicetree_blob, "/interrupt-controller@3001000");
    node = fdt_subnode_offset(image->devicetree_blob, gic,
                              "msi-controller@8080000");
    HOLDS(guest, CELLS(gic, "#address-cells", 2));
    HOLDS(guest, CELLS(gic, "#size-cells", 2));
    HOLDS(guest, empty(gic, "ranges"));
    HOLDS(guest, CELLS(gic, "phandle", GUEST_PHANDLE_GIC));
    HOLDS(guest, fdt_node_check_compatible(image->devicetree_blob, node,
                                           "arm,gic-v3-its") == 0);
    HOLDS(guest, CELLS(node, "reg", 0, 0x08080000, 0, 0x20000));
    HOLDS(guest, empty(node, "msi-controller"));
    HOLDS(guest, CELLS(node, "#msi-cells", 1));
    HOLDS(guest, CELLS(node, "phandle", 65002));

    /* ACPI 6.3, 5.2.12.18: GIC ITS. */
    madt = entry(guest, 0xf);
    HOLDS(guest, madt && madt[1] == 20);
    if (!madt)
        return;
    memcpy(&address, madt + 8, sizeof(address));
    HOLDS(guest, address == 0x08080000);
}

#ifdef LIBXL_HAVE_BUILDINFO_ARM_RVIC

static void rvic(void)
{
    const char *guest = "rVIC";
    const void *tree;
    int rvic, rvid, node;

    begin(LIBXL_GIC_VERSION_RVIC);
    libxl_defbool_set(&config.b_info.acpi, false);
    libxl_defbool_set(&config.b_info.arch_arm.msi, true);
    libxl_defbool_set(&config.b_info.arch_arm.rvid_levels, true);
    config.b_info.arch_arm.vuart = LIBXL_VUART_TYPE_SBSA_UART;
    HOLDS(guest, make() == 0);
    HOLDS(guest, create.arch.gic_version == XEN_DOMCTL_CONFIG_GIC_RVIC);
    HOLDS(guest, create.flags == (XEN_DOMCTL_CDF_arm_msi |
                                  XEN_DOMCTL_CDF_arm_rvid_levels));
    HOLDS(guest, create.arch.nr_spis == 1);

    tree = image->devicetree_blob;
    rvic = fdt_path_offset(tree, "/rvic");
    rvid = fdt_path_offset(tree, "/rvid");
    HOLDS(guest, fdt_node_check_compatible(tree, rvic, "arm,rvic") == 0);
    HOLDS(guest, empty(rvic, "interrupt-controller"));
    HOLDS(guest, CELLS(rvic, "#interrupt-cells", 2));
    HOLDS(guest, CELLS(rvic, "phandle", GUEST_PHANDLE_GIC));
    HOLDS(guest, no_property(rvic, "reg"));
    HOLDS(guest, fdt_node_check_compatible(tree, rvid, "arm,rvid") == 0);
    HOLDS(guest, empty(rvid, "interrupt-controller"));
    HOLDS(guest, CELLS(rvid, "#interrupt-cells", 1));
    HOLDS(guest, CELLS(rvid, "interrupt-parent", GUEST_PHANDLE_GIC));
    HOLDS(guest, CELLS(rvid, "phandle", 65002));
    HOLDS(guest, empty(rvid, "msi-controller"));
    HOLDS(guest, CELLS(rvid, "#msi-cells", 0));
    /* Of 32 that one vUART makes Xen round up to, the first one after. */
    HOLDS(guest, CELLS(rvid, "msi-range", 32, GUEST_RVID_MSI_INPUTS));
    HOLDS(guest, empty(rvid, "xen,level-inputs"));

    node = fdt_path_offset(tree, "/timer");
    HOLDS(guest, CELLS(node, "interrupts", 29, 8, 30, 8, 27, 8));
    HOLDS(guest, CELLS(node, "interrupt-parent", GUEST_PHANDLE_GIC));
    node = fdt_path_offset(tree, "/hypervisor");
    HOLDS(guest, CELLS(node, "interrupts", 31, 8));
    HOLDS(guest, CELLS(node, "interrupt-parent", GUEST_PHANDLE_GIC));
    node = fdt_path_offset(tree, "/sbsa-pl011");
    HOLDS(guest, CELLS(node, "interrupts", 0));
    HOLDS(guest, CELLS(node, "interrupt-parent", 65002));

    begin(LIBXL_GIC_VERSION_RVIC);
    libxl_defbool_set(&config.b_info.acpi, false);
    HOLDS(guest, make() == 0);
    HOLDS(guest, create.flags == 0);
    rvid = fdt_path_offset(image->devicetree_blob, "/rvid");
    HOLDS(guest, no_property(rvid, "msi-controller"));
    HOLDS(guest, no_property(rvid, "xen,level-inputs"));

    /* There are no ACPI tables for it. */
    begin(LIBXL_GIC_VERSION_RVIC);
    HOLDS(guest, make() == 1);

    begin(LIBXL_GIC_VERSION_V3);
    libxl_defbool_set(&config.b_info.arch_arm.rvid_levels, true);
    HOLDS("level inputs without an rVID", make() == 1);
}

/* What is a GIC's does not go with it: one of these, which `what` says. */
static void rvic_of_host(const char *what, const char *device_tree, int irqs,
                         int dtdevs, int pcidevs, int iomem, int step)
{
    uint32_t irq = 40;
    libxl_device_dtdev dtdev = {0};
    libxl_device_pci pci = {0};
    libxl_iomem_range range = {0};

    begin(LIBXL_GIC_VERSION_RVIC);
    libxl_defbool_set(&config.b_info.acpi, false);
    config.b_info.device_tree = (char *)device_tree;
    config.b_info.irqs = &irq;
    config.b_info.num_irqs = irqs;
    config.dtdevs = &dtdev;
    config.num_dtdevs = dtdevs;
    config.pcidevs = &pci;
    config.num_pcidevs = pcidevs;
    /* As libxl has it by then. */
    if (dtdevs || pcidevs)
        config.c_info.passthrough = LIBXL_PASSTHROUGH_SHARE_PT;
    config.b_info.iomem = &range;
    config.b_info.num_iomem = iomem;
    if (make() != step)
        broken(what, "of the host does not end where it should with an rVIC");
}

static void rvic_refuses(void)
{
    rvic_of_host("device tree", "x", 0, 0, 0, 0, 2);
    rvic_of_host("interrupt", NULL, 1, 0, 0, 0, 2);
    rvic_of_host("device of the tree", NULL, 0, 1, 0, 0, 2);
    /* Behind a bridge of Xen's a device has no node of its own. */
#ifdef XEN_DOMCTL_CDF_vpci
    rvic_of_host("PCI device", NULL, 0, 0, 1, 0, 0);
#else
    rvic_of_host("PCI device", NULL, 0, 0, 1, 0, 2);
#endif
    rvic_of_host("memory", NULL, 0, 0, 0, 1, 0);

    /* A device that comes later. */
    begin(LIBXL_GIC_VERSION_RVIC);
    libxl_defbool_set(&config.b_info.acpi, false);
    config.c_info.passthrough = LIBXL_PASSTHROUGH_SHARE_PT;
    if (make() != 2)
        broken("passthrough", "does not end where it should with an rVIC");
}

#else

static void rvic(void)
{
}

static void rvic_refuses(void)
{
}

#endif

#ifdef XEN_DOMCTL_CDF_vpci

/* The node of the bridge of a guest with a device of the host's, and messages or none. */
static int bridge(const char *guest, libxl_gic_version gic, bool msi)
{
    static libxl_device_pci device;
    const void *tree;
    int node;

    begin(gic);
    libxl_defbool_set(&config.b_info.acpi, false);
    libxl_defbool_set(&config.b_info.arch_arm.msi, msi);
    config.pcidevs = &device;
    config.num_pcidevs = 1;
    HOLDS(guest, make() == 0);
    HOLDS(guest, create.flags == (XEN_DOMCTL_CDF_vpci |
                                  (msi ? XEN_DOMCTL_CDF_arm_msi : 0)));

    tree = image->devicetree_blob;
    node = fdt_path_offset(tree, "/pcie@10000000");
    HOLDS(guest, fdt_node_check_compatible(tree, node,
                                           "pci-host-ecam-generic") == 0);
    HOLDS(guest, CELLS(node, "reg", 0, 0x10000000, 0, 0x10000000));
    HOLDS(guest, CELLS(node, "ranges",
                       0x02000000, 0, 0x23000000, 0, 0x23000000, 0, 0x10000000,
                       0x43000000, 1, 0, 1, 0, 1, 0));
    HOLDS(guest, no_property(node, "interrupt-map"));
    return node;
}

static void pci(void)
{
    int node = bridge("PCI and a GICv2m", LIBXL_GIC_VERSION_V2, true);

    HOLDS("PCI and a GICv2m", CELLS(node, "msi-parent", 65002));
    HOLDS("PCI and a GICv2m", no_property(node, "msi-map"));

    node = bridge("PCI and an ITS", LIBXL_GIC_VERSION_V3, true);
    HOLDS("PCI and an ITS", CELLS(node, "msi-map", 0, 65002, 0, 0x10000));
    HOLDS("PCI and an ITS", no_property(node, "msi-parent"));

    node = bridge("PCI without messages", LIBXL_GIC_VERSION_V3, false);
    HOLDS("PCI without messages", no_property(node, "msi-map"));
    HOLDS("PCI without messages", no_property(node, "msi-parent"));

    node = bridge("PCI and an rVID", LIBXL_GIC_VERSION_RVIC, true);
    HOLDS("PCI and an rVID", CELLS(node, "msi-parent", 65002));
    HOLDS("PCI and an rVID", no_property(node, "msi-map"));
}

#else

static void pci(void)
{
}

#endif

/* The step that says no, of a guest with these. */
static void refused(const char *what, bool msi, uint32_t lpis, uint32_t burst,
                    int error, int step)
{
    begin(LIBXL_GIC_VERSION_V3);
    libxl_defbool_set(&config.b_info.arch_arm.msi, msi);
    config.b_info.arch_arm.msi_lpis = lpis;
    config.b_info.arch_arm.vgic_storm_burst = burst;
    refusal = error;
    if (make() != step)
        broken(what, "does not end where it should");
    refusal = 0;
}

static void with(void)
{
    v2m();
    its();
    rvic();
    rvic_refuses();
    pci();
    refused("a limit on LPIs of a guest that has none", false, 100, 0, 0, 1);
    refused("a limit on storms of a guest without an ITS", false, 0, 100, 0, 0);
    refused("a limit that Xen does not know", true, 100, 0, ENOSYS, 3);
    refused("a limit that is too high", true, 100, 0, EINVAL, 3);
    refused("nothing that Xen need know", true, 0, 0, ENOSYS, 0);
}

#else

static void with(void)
{
}

#endif

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;

    context.lg = (xentoollog_logger *)
        xtl_createlogger_stdiostream(stdout, XTL_DEBUG, 0);
    /* As if Xen had been asked already. */
    context.version_info.xen_version_extra = (char *)"";
    LIBXL_INIT_GC(gc[0], &context);

    without(argv[1], LIBXL_GIC_VERSION_V2, "v2");
    without(argv[1], LIBXL_GIC_VERSION_V3, "v3");
    with();
    return faults != 0;
}
