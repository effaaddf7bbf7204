// SPDX-License-Identifier: GPL-2.0-only
/*
 * A miniport to test dm-bond with: block devices in memory, several to one logical unit, whose
 * commands are kept, given back or forgotten as /sys/kernel/debug/dm_bond_test says.
 *
 * registered		whether the miniport is
 *
 * <device>/hold	keep commands instead of carrying them out
 * <device>/release	(written) carry out what is kept
 * <device>/fail	(written) say that the path failed: words of those below
 *	adapter		so did its adapter
 *	voided		forget what was sent, on all paths that are meant: end it with success
 *			without carrying it out; refuse what comes later, until they are restored
 *	for=<us>	keep what comes for so long before that
 *	instead=<device>	name another path
 *	path		nothing more than that
 * <device>/restore	(written) say that it works again: path, adapter, instead=<device>
 * <device>/from_irq	say so from a hard interrupt
 * <device>/twice	say so on two CPUs at once
 * <device>/storm	say by turns that the path failed and works again, from a timer's hard
 *			interrupt, every so many microseconds; 0 to stop
 * <device>/quiesced	(written) have the queue look like that of a driver that takes nothing
 * <device>/busy	how often abort is to say -EBUSY first
 * <device>/bind_error	an errno to refuse to bind with
 * <device>/bind_word	say first that the path failed
 * <device>/bind_ms	how long bind is to take
 * <device>/netdev_ms	how long netdev is to take
 * <device>/nameless	do not tell the network device
 * <device>/chooses	as the primary adapter choose the path with this number, from 1 on; 0: none
 * <device>/role_errors	how often set_role is to say -EIO first
 *
 * and what it counts: ios (commands that came), held (kept now), voided, refused, aborted (commands
 * given back with an error by abort), unsure (commands that were being carried out when others were
 * voided, and so may have ended after), aborts (calls of it that were not -EBUSY), renewals, binds,
 * unbinds, role (the register: 1 is primary), chosen (how often it was asked to choose), strays
 * (how often while its register said secondary); and most_primaries: of how many network devices
 * the registers said primary at a time, at most.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/cpu.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/unaligned.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "../../rust/miniport/dm_bond.h"

#define MOST_DEVICES 64

static unsigned int paths = 2;
module_param(paths, uint, 0444);
MODULE_PARM_DESC(paths, "devices to each logical unit");

static unsigned int units = 1;
module_param(units, uint, 0444);
MODULE_PARM_DESC(units, "logical units");

static unsigned int size = 32;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "size of each in MiB");

static char *netdevs[MOST_DEVICES];
module_param_array(netdevs, charp, NULL, 0444);
MODULE_PARM_DESC(netdevs, "network device of each device");

static char *dests[MOST_DEVICES];
module_param_array(dests, charp, NULL, 0444);
MODULE_PARM_DESC(dests, "destination address of each device");

static unsigned int version = DM_BOND_MINIPORT_VERSION;
module_param(version, uint, 0444);
MODULE_PARM_DESC(version, "version of the interface to register with");

struct test_device {
	struct gendisk *disk;
	u8 *medium;
	unsigned int unit;
	const char *netdev;
	const char *dest;
	/* Guards what follows, up to the next such comment. Taken in hard interrupts. */
	spinlock_t lock;
	struct bio_list held;
	u32 held_count;
	bool hold;
	bool dead;
	/* Guarded by binding_lock. During a reload two tables have the same path. */
	struct list_head bindings;
	/* Set by the test. */
	bool from_irq;
	bool twice;
	u32 bind_error;
	bool bind_word;
	u32 bind_ms;
	u32 netdev_ms;
	bool nameless;
	u32 chooses;
	atomic_t busy;
	/* Serialised by the file's user. */
	struct hrtimer storm;
	ktime_t storm_period;
	bool storm_failed;
	/* Counted. */
	atomic_t ios;
	atomic_t voided;
	atomic_t refused;
	atomic_t aborted;
	atomic_t aborts;
	atomic_t renewals;
	atomic_t carrying;
	atomic_t unsure;
	atomic_t binds;
	atomic_t unbinds;
	atomic_t role;
	atomic_t role_errors;
	atomic_t chosen;
	atomic_t strays;
};

struct binding {
	struct list_head list;
	struct test_device *dev;
	struct dm_bond_path *path;
};

/* What is told of a path. */
struct word {
	struct test_device *dev;
	bool failed;
	unsigned int flags;
	struct test_device *instead;
	unsigned int delay_us;
};

/* Somebody who says it. */
struct teller {
	struct work_struct work;
	struct hrtimer timer;
	struct completion done;
	const struct word *word;
	atomic_t *awaited;
};

static struct test_device *devices[MOST_DEVICES];
static unsigned int device_count;
static u8 *media[MOST_DEVICES];
static struct dentry *top;

/* Read by those who use a path, written by those who bind and unbind. */
static DEFINE_RWLOCK(binding_lock);

static DEFINE_MUTEX(register_lock);
static bool registered;

/* Guards who is primary. */
static DEFINE_SPINLOCK(role_lock);
static u32 most_primaries;

/* The block devices. */

/* The command was counted as being carried out, with the lock held. */
static void carry_out(struct test_device *dev, struct bio *bio)
{
	u8 *at = dev->medium + (bio->bi_iter.bi_sector << SECTOR_SHIFT);
	struct bvec_iter iter;
	struct bio_vec vec;

	switch (bio_op(bio)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		bio_for_each_segment(vec, bio, iter) {
			if (bio_op(bio) == REQ_OP_READ)
				memcpy_to_bvec(&vec, (char *)at);
			else
				memcpy_from_bvec((char *)at, &vec);
			at += vec.bv_len;
		}
		break;
	default:
		bio->bi_status = BLK_STS_NOTSUPP;
	}
	bio_endio(bio);
	atomic_dec(&dev->carrying);
}

static void test_submit_bio(struct bio *bio)
{
	struct test_device *dev = bio->bi_bdev->bd_disk->private_data;
	bool hold, dead;
	unsigned long flags;

	atomic_inc(&dev->ios);
	spin_lock_irqsave(&dev->lock, flags);
	hold = dev->hold;
	dead = dev->dead;
	if (hold) {
		bio_list_add(&dev->held, bio);
		dev->held_count++;
	} else if (!dead) {
		atomic_inc(&dev->carrying);
	}
	spin_unlock_irqrestore(&dev->lock, flags);
	if (hold)
		return;
	if (dead) {
		atomic_inc(&dev->refused);
		bio->bi_status = BLK_STS_TRANSPORT;
		bio_endio(bio);
		return;
	}
	carry_out(dev, bio);
}

/* To be called with the lock held. */
static void take_held(struct test_device *dev, struct bio_list *bios)
{
	bio_list_init(bios);
	bio_list_merge(bios, &dev->held);
	bio_list_init(&dev->held);
	dev->held_count = 0;
}

static void release_held(struct test_device *dev)
{
	struct bio_list bios;
	struct bio *bio;
	unsigned long flags;

	spin_lock_irqsave(&dev->lock, flags);
	atomic_add(dev->held_count, &dev->carrying);
	take_held(dev, &bios);
	spin_unlock_irqrestore(&dev->lock, flags);
	while ((bio = bio_list_pop(&bios)))
		carry_out(dev, bio);
}

static void give_back(struct bio_list *bios, blk_status_t status, atomic_t *count)
{
	struct bio *bio;

	while ((bio = bio_list_pop(bios))) {
		/* Before it ends: who has waited for that may look at the count. */
		atomic_inc(count);
		bio->bi_status = status;
		bio_endio(bio);
	}
}

static int test_get_unique_id(struct gendisk *disk, u8 id[16], enum blk_unique_id type)
{
	struct test_device *dev = disk->private_data;

	if (type != BLK_UID_NAA)
		return -EINVAL;
	memset(id, 0, 16);
	id[0] = 0x60;
	put_unaligned_be32(dev->unit, id + 12);
	return 16;
}

static const struct block_device_operations test_fops = {
	.owner = THIS_MODULE,
	.submit_bio = test_submit_bio,
	.get_unique_id = test_get_unique_id,
};

/* The miniport. */

static int test_bind(struct block_device *bdev, struct dm_bond_path *path, void **data)
{
	struct test_device *dev = bdev->bd_disk->private_data;
	struct binding *binding;
	unsigned long flags;

	if (bdev->bd_disk->fops != &test_fops)
		return -ENODEV;
	msleep(dev->bind_ms);
	if (dev->bind_word)
		dm_bond_path_failed(path, 0, NULL);
	if (dev->bind_error)
		return -(int)dev->bind_error;
	binding = kzalloc_obj(*binding);
	if (!binding)
		return -ENOMEM;
	binding->dev = dev;
	binding->path = path;
	write_lock_irqsave(&binding_lock, flags);
	list_add_tail(&binding->list, &dev->bindings);
	write_unlock_irqrestore(&binding_lock, flags);
	atomic_inc(&dev->binds);
	*data = binding;
	return 0;
}

static void test_unbind(void *data)
{
	struct binding *binding = data;
	unsigned long flags;

	write_lock_irqsave(&binding_lock, flags);
	list_del(&binding->list);
	write_unlock_irqrestore(&binding_lock, flags);
	atomic_inc(&binding->dev->unbinds);
	kfree(binding);
}

static int test_netdev(void *data, char name[IFNAMSIZ])
{
	struct binding *binding = data;

	msleep(binding->dev->netdev_ms);
	if (!binding->dev->netdev || binding->dev->nameless)
		return -ENODATA;
	strscpy(name, binding->dev->netdev, IFNAMSIZ);
	return 0;
}

static int test_dest(void *data, char text[DM_BOND_DEST_SIZE])
{
	struct binding *binding = data;

	if (!binding->dev->dest)
		return -ENODATA;
	strscpy(text, binding->dev->dest, DM_BOND_DEST_SIZE);
	return 0;
}

static int test_abort(void *data)
{
	struct binding *binding = data;
	struct test_device *dev = binding->dev;
	struct bio_list bios;

	if (atomic_dec_if_positive(&dev->busy) >= 0)
		return -EBUSY;
	atomic_inc(&dev->aborts);
	spin_lock_irq(&dev->lock);
	take_held(dev, &bios);
	spin_unlock_irq(&dev->lock);
	give_back(&bios, BLK_STS_TRANSPORT, &dev->aborted);
	return 0;
}

static int test_renew(void *data)
{
	struct binding *binding = data;

	atomic_inc(&binding->dev->renewals);
	return 0;
}

static const char *primary_netdev(const struct test_device *dev)
{
	return atomic_read(&dev->role) && dev->netdev ? dev->netdev : NULL;
}

static int test_set_role(void *data, bool primary)
{
	struct test_device *dev = ((struct binding *)data)->dev;
	unsigned int i, j, count = 0;

	if (atomic_dec_if_positive(&dev->role_errors) >= 0)
		return -EIO;
	guard(spinlock)(&role_lock);
	atomic_set(&dev->role, primary);
	for (i = 0; i < device_count; i++) {
		const char *netdev = primary_netdev(devices[i]);

		for (j = 0; netdev && j < i; j++) {
			const char *other = primary_netdev(devices[j]);

			if (other && !strcmp(netdev, other))
				netdev = NULL;
		}
		count += !!netdev;
	}
	most_primaries = max(most_primaries, count);
	return 0;
}

static int test_choose(void *data, void *const *paths, u64 usable, unsigned int bytes, bool write)
{
	struct binding *binding = data;
	u32 number = READ_ONCE(binding->dev->chooses);

	if (!atomic_read(&binding->dev->role))
		atomic_inc(&binding->dev->strays);
	if (!number)
		return -1;
	atomic_inc(&binding->dev->chosen);
	number--;
	return usable & BIT_ULL(number) && paths[number] ? number : -1;
}

static struct dm_bond_miniport miniport = {
	.name = "test",
	.owner = THIS_MODULE,
	.bind = test_bind,
	.unbind = test_unbind,
	.netdev = test_netdev,
	.dest = test_dest,
	.abort = test_abort,
	.renew = test_renew,
	.set_role = test_set_role,
	.choose = test_choose,
};

static int set_registered(bool wanted)
{
	int err = 0;

	guard(mutex)(&register_lock);
	if (wanted && !registered)
		err = dm_bond_register_miniport(&miniport);
	else if (!wanted && registered)
		dm_bond_unregister_miniport(&miniport);
	if (!err)
		registered = wanted;
	return err;
}

/* What it tells. */

/* The path of a device, as the newest table has it. To be called with binding_lock held. */
static struct dm_bond_path *path_of(const struct test_device *dev)
{
	struct binding *binding;

	if (!dev || list_empty(&dev->bindings))
		return NULL;
	binding = list_last_entry(&dev->bindings, struct binding, list);
	return binding->path;
}

/* Whether all that is said is said of this device too. */
static bool is_meant(const struct word *word, const struct test_device *dev)
{
	const char *netdev = word->dev->netdev;

	return dev == word->dev || ((word->flags & DM_BOND_ADAPTER) && netdev && dev->netdev &&
				    !strcmp(dev->netdev, netdev));
}

/* Lets a device's commands be carried out again, or be kept until they are forgotten. */
static void prepare(struct test_device *dev, const struct word *word)
{
	unsigned long flags;

	spin_lock_irqsave(&dev->lock, flags);
	if (!word->failed)
		dev->dead = false;
	else if (word->flags & DM_BOND_VOIDED)
		dev->hold = true;
	spin_unlock_irqrestore(&dev->lock, flags);
}

static void forget_held(struct test_device *dev)
{
	struct bio_list bios;
	unsigned long flags;

	spin_lock_irqsave(&dev->lock, flags);
	take_held(dev, &bios);
	dev->hold = false;
	dev->dead = true;
	spin_unlock_irqrestore(&dev->lock, flags);
	give_back(&bios, BLK_STS_OK, &dev->voided);
}

/* Any context. */
static void tell(const struct word *word)
{
	struct test_device *dev = word->dev;
	struct binding *binding;
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < device_count; i++) {
		if (is_meant(word, devices[i]))
			prepare(devices[i], word);
	}
	if (word->delay_us)
		udelay(word->delay_us);

	for (i = 0; i < device_count; i++) {
		if ((word->flags & DM_BOND_VOIDED) && is_meant(word, devices[i]))
			atomic_add(atomic_read(&devices[i]->carrying), &devices[i]->unsure);
	}
	read_lock_irqsave(&binding_lock, flags);
	list_for_each_entry(binding, &dev->bindings, list) {
		bool newest = list_is_last(&binding->list, &dev->bindings);
		struct dm_bond_path *instead = newest ? path_of(word->instead) : NULL;

		if (word->failed)
			dm_bond_path_failed(binding->path, word->flags, instead);
		else
			dm_bond_path_restored(binding->path, word->flags, instead);
	}
	read_unlock_irqrestore(&binding_lock, flags);

	for (i = 0; i < device_count; i++) {
		if ((word->flags & DM_BOND_VOIDED) && is_meant(word, devices[i]))
			forget_held(devices[i]);
	}
}

/* Waits until all tellers are here, but not for ever. */
static void tell_together(struct teller *teller)
{
	int i;

	atomic_dec(teller->awaited);
	for (i = 0; i < 100000 && atomic_read(teller->awaited) > 0; i++)
		udelay(1);
	tell(teller->word);
}

static enum hrtimer_restart teller_timer(struct hrtimer *timer)
{
	struct teller *teller = container_of(timer, struct teller, timer);

	tell_together(teller);
	complete(&teller->done);
	return HRTIMER_NORESTART;
}

static void teller_work(struct work_struct *work)
{
	struct teller *teller = container_of(work, struct teller, work);

	if (!teller->word->dev->from_irq) {
		tell_together(teller);
		return;
	}
	init_completion(&teller->done);
	hrtimer_start(&teller->timer, us_to_ktime(100), HRTIMER_MODE_REL_PINNED);
	wait_for_completion(&teller->done);
	hrtimer_cancel(&teller->timer);
}

/*
 * Says it from as many CPUs, and in the context, that the test wants. Timers run in hard
 * interrupts; in threads only with PREEMPT_RT, where what runs in hard interrupts takes no
 * spinlock.
 */
static void tell_as_set(const struct word *word)
{
	struct teller tellers[2];
	atomic_t awaited;
	unsigned int cpu, i, count = 0;

	cpus_read_lock();
	atomic_set(&awaited, word->dev->twice ? min(2U, num_online_cpus()) : 1);
	for_each_online_cpu(cpu) {
		struct teller *teller = &tellers[count++];

		teller->word = word;
		teller->awaited = &awaited;
		INIT_WORK_ONSTACK(&teller->work, teller_work);
		hrtimer_setup_on_stack(&teller->timer, teller_timer, CLOCK_MONOTONIC,
				       HRTIMER_MODE_REL_PINNED);
		queue_work_on(cpu, system_percpu_wq, &teller->work);
		if (count == 2 || !word->dev->twice)
			break;
	}
	for (i = 0; i < count; i++) {
		flush_work(&tellers[i].work);
		destroy_work_on_stack(&tellers[i].work);
		destroy_hrtimer_on_stack(&tellers[i].timer);
	}
	cpus_read_unlock();
}

static enum hrtimer_restart storm_timer(struct hrtimer *timer)
{
	struct test_device *dev = container_of(timer, struct test_device, storm);
	struct word word = { .dev = dev };

	dev->storm_failed = !dev->storm_failed;
	word.failed = dev->storm_failed;
	tell(&word);
	hrtimer_forward_now(timer, dev->storm_period);
	return HRTIMER_RESTART;
}

/* The files. */

static struct test_device *device_named(const char *name)
{
	unsigned int i;

	for (i = 0; i < device_count; i++) {
		if (!strcmp(devices[i]->disk->disk_name, name))
			return devices[i];
	}
	return NULL;
}

static int parse_word(char *text, struct word *word)
{
	char *part;

	while ((part = strsep(&text, "\n "))) {
		if (!*part || !strcmp(part, "path")) {
			continue;
		} else if (!strcmp(part, "adapter")) {
			word->flags |= DM_BOND_ADAPTER;
		} else if (!strcmp(part, "voided") && word->failed) {
			word->flags |= DM_BOND_VOIDED;
		} else if (!strncmp(part, "for=", 4) && word->failed) {
			if (kstrtouint(part + 4, 10, &word->delay_us) || word->delay_us > 20000)
				return -EINVAL;
		} else if (!strncmp(part, "instead=", 8)) {
			word->instead = device_named(part + 8);
			if (!word->instead)
				return -EINVAL;
		} else {
			return -EINVAL;
		}
	}
	return 0;
}

static ssize_t tell_from_file(struct file *file, const char __user *from, size_t len, bool failed)
{
	struct word word = { .dev = file_inode(file)->i_private, .failed = failed };
	char text[128] = "";
	bool bound;
	int err;

	if (len >= sizeof(text) || copy_from_user(text, from, len))
		return -EINVAL;
	err = parse_word(text, &word);
	if (err)
		return err;
	read_lock_irq(&binding_lock);
	bound = path_of(word.dev);
	read_unlock_irq(&binding_lock);
	if (!bound)
		return -ENODEV;
	tell_as_set(&word);
	return len;
}

static ssize_t fail_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	return tell_from_file(file, from, len, true);
}

static const struct file_operations fail_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = fail_write,
};

static ssize_t restore_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	return tell_from_file(file, from, len, false);
}

static const struct file_operations restore_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = restore_write,
};

static int release_set(void *data, u64 value)
{
	release_held(data);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(release_fops, NULL, release_set, "%llu\n");

static int quiesced_set(void *data, u64 value)
{
	struct test_device *dev = data;

	if (value)
		blk_queue_flag_set(QUEUE_FLAG_QUIESCED, dev->disk->queue);
	else
		blk_queue_flag_clear(QUEUE_FLAG_QUIESCED, dev->disk->queue);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(quiesced_fops, NULL, quiesced_set, "%llu\n");

static int storm_set(void *data, u64 us)
{
	struct test_device *dev = data;

	hrtimer_cancel(&dev->storm);
	if (us) {
		dev->storm_period = us_to_ktime(us);
		hrtimer_start(&dev->storm, dev->storm_period, HRTIMER_MODE_REL);
	}
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(storm_fops, NULL, storm_set, "%llu\n");

static int registered_get(void *data, u64 *value)
{
	guard(mutex)(&register_lock);
	*value = registered;
	return 0;
}

static int registered_set(void *data, u64 value)
{
	return set_registered(value);
}
DEFINE_DEBUGFS_ATTRIBUTE(registered_fops, registered_get, registered_set, "%llu\n");

static void add_files(struct test_device *dev)
{
	struct dentry *dir = debugfs_create_dir(dev->disk->disk_name, top);

	debugfs_create_bool("hold", 0600, dir, &dev->hold);
	debugfs_create_file("release", 0200, dir, dev, &release_fops);
	debugfs_create_file("fail", 0200, dir, dev, &fail_fops);
	debugfs_create_file("restore", 0200, dir, dev, &restore_fops);
	debugfs_create_file("quiesced", 0200, dir, dev, &quiesced_fops);
	debugfs_create_file("storm", 0200, dir, dev, &storm_fops);
	debugfs_create_bool("from_irq", 0600, dir, &dev->from_irq);
	debugfs_create_bool("twice", 0600, dir, &dev->twice);
	debugfs_create_atomic_t("busy", 0600, dir, &dev->busy);
	debugfs_create_u32("bind_error", 0600, dir, &dev->bind_error);
	debugfs_create_bool("bind_word", 0600, dir, &dev->bind_word);
	debugfs_create_u32("bind_ms", 0600, dir, &dev->bind_ms);
	debugfs_create_u32("netdev_ms", 0600, dir, &dev->netdev_ms);
	debugfs_create_bool("nameless", 0600, dir, &dev->nameless);
	debugfs_create_u32("chooses", 0600, dir, &dev->chooses);
	debugfs_create_atomic_t("role", 0400, dir, &dev->role);
	debugfs_create_atomic_t("role_errors", 0600, dir, &dev->role_errors);
	debugfs_create_atomic_t("chosen", 0400, dir, &dev->chosen);
	debugfs_create_atomic_t("strays", 0400, dir, &dev->strays);
	debugfs_create_u32("held", 0400, dir, &dev->held_count);
	debugfs_create_atomic_t("ios", 0400, dir, &dev->ios);
	debugfs_create_atomic_t("voided", 0400, dir, &dev->voided);
	debugfs_create_atomic_t("refused", 0400, dir, &dev->refused);
	debugfs_create_atomic_t("unsure", 0400, dir, &dev->unsure);
	debugfs_create_atomic_t("renewals", 0400, dir, &dev->renewals);
	debugfs_create_atomic_t("aborted", 0400, dir, &dev->aborted);
	debugfs_create_atomic_t("aborts", 0400, dir, &dev->aborts);
	debugfs_create_atomic_t("binds", 0400, dir, &dev->binds);
	debugfs_create_atomic_t("unbinds", 0400, dir, &dev->unbinds);
}

/* The module. */

static int add_device(unsigned int number)
{
	struct queue_limits limits = { .features = BLK_FEAT_NOWAIT };
	struct test_device *dev;
	int err;

	dev = kzalloc_obj(*dev);
	if (!dev)
		return -ENOMEM;
	dev->unit = number / paths;
	dev->medium = media[dev->unit];
	dev->netdev = netdevs[number];
	dev->dest = dests[number];
	spin_lock_init(&dev->lock);
	bio_list_init(&dev->held);
	INIT_LIST_HEAD(&dev->bindings);
	hrtimer_setup(&dev->storm, storm_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);

	dev->disk = blk_alloc_disk(&limits, NUMA_NO_NODE);
	if (IS_ERR(dev->disk)) {
		err = PTR_ERR(dev->disk);
		goto free;
	}
	dev->disk->fops = &test_fops;
	dev->disk->private_data = dev;
	dev->disk->flags |= GENHD_FL_NO_PART;
	snprintf(dev->disk->disk_name, DISK_NAME_LEN, "bondtest%u", number);
	set_capacity(dev->disk, (sector_t)size << (20 - SECTOR_SHIFT));
	err = add_disk(dev->disk);
	if (err)
		goto put;
	devices[device_count++] = dev;
	add_files(dev);
	return 0;

put:
	put_disk(dev->disk);
free:
	kfree(dev);
	return err;
}

static void remove_all(void)
{
	unsigned int i;

	debugfs_remove(top);
	for (i = 0; i < device_count; i++) {
		hrtimer_cancel(&devices[i]->storm);
		devices[i]->hold = false;
		release_held(devices[i]);
		del_gendisk(devices[i]->disk);
		put_disk(devices[i]->disk);
		kfree(devices[i]);
	}
	for (i = 0; i < units; i++)
		vfree(media[i]);
}

static int __init test_init(void)
{
	unsigned int i;
	int err;

	if (!paths || !units || !size || size > 1024 || units > MOST_DEVICES ||
	    paths > MOST_DEVICES / units)
		return -EINVAL;
	/* Before there is a disk: its last user may be gone only after a module that fails here. */
	miniport.version = version;
	err = set_registered(true);
	if (err)
		return err;
	top = debugfs_create_dir("dm_bond_test", NULL);
	debugfs_create_file("registered", 0600, top, NULL, &registered_fops);
	debugfs_create_u32("most_primaries", 0400, top, &most_primaries);
	for (i = 0; i < units; i++) {
		media[i] = vzalloc((size_t)size << 20);
		if (!media[i]) {
			err = -ENOMEM;
			goto remove;
		}
	}
	for (i = 0; i < paths * units; i++) {
		err = add_device(i);
		if (err)
			goto remove;
	}
	return 0;

remove:
	set_registered(false);
	remove_all();
	return err;
}

static void __exit test_exit(void)
{
	set_registered(false);
	remove_all();
}

module_init(test_init);
module_exit(test_exit);

MODULE_DESCRIPTION("Miniport and block devices to test dm-bond with");
MODULE_AUTHOR("The dm-bond authors");
MODULE_LICENSE("GPL");
